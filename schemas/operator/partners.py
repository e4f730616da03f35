"""What partners send: the answer of `partners`."""

from datetime import date, datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class PartnersQuery(BaseModel, defer_build=True):
    """Which partners: all, or those of one list."""

    model_config = ConfigDict(extra="forbid")

    ingress_list: str | None = Field(None, min_length=1, max_length=512)
    limit: int = Field(200, ge=1, le=1000)


class PartnerUse(BaseModel, defer_build=True):
    """What a partner has sent in some time; `refused` counts by reason."""

    accepted: int = 0
    refused: dict[str, int] = Field(default_factory=dict)
    bytes: int = 0


class Partner(BaseModel, defer_build=True):
    """One lineage of keys: a key and those that replaced it by rotation."""

    lineage: UUID
    label: str
    ingress_list: str
    keys: int
    """Keys that work now."""
    last_used_at: datetime | None
    hour: PartnerUse
    """The last 60 minutes."""
    today: PartnerUse
    """Since midnight UTC; Postgres has it some seconds later."""
    yesterday: PartnerUse


class Partners(BaseModel, defer_build=True):
    """The partners with the most vCons of today first."""

    today: date
    partners: list[Partner] = Field(default_factory=list)
    more: int = 0
    """Partners beyond the limit."""
