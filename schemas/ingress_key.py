"""A key that opens one ingress list, as administrators see it: everything but the secret."""

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class IngressKey(BaseModel, defer_build=True):
    """One key. `source` is `config` for those of config.yml, `action` for those made at run time.

    Keys of one `lineage` follow each other by rotation and are the same owner of vCons.
    """

    id: UUID
    ingress_list: str
    label: str
    source: Literal["config", "action"]
    lineage: UUID
    requests_per_minute: int | None
    max_vcon_bytes: int | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    use_count: int


class KnownKey(IngressKey):
    """A key as it was looked up; `expires_in`: seconds from then on, by Postgres' clock.

    `signing_secret`: the secret that signs the bodies of its requests; it is in no dump.
    """

    expires_in: float | None = None
    signing_secret: str | None = Field(None, repr=False, exclude=True)


SHORTEST_KEY = 16
"""Characters of the shortest key that a configuration may have, unless weak keys are allowed."""


class ConfiguredKey(BaseModel, defer_build=True):
    """The settings of a key in config.yml, besides its list."""

    model_config = ConfigDict(frozen=True)

    label: str = "config.yml"
    requests_per_minute: int | None = None
    max_vcon_bytes: int | None = None
    signing_secret: str | None = Field(None, repr=False)


class NewKey(BaseModel, defer_build=True):
    """A key to create; a limit that is None is the service's own."""

    ingress_list: str
    label: str
    expires_in_days: float | None = None
    requests_per_minute: int | None = None
    max_vcon_bytes: int | None = None


class MadeKey(BaseModel, defer_build=True):
    """A key with its secret, which is returned only when it is created."""

    secret: str
    key: IngressKey


class Author(BaseModel, defer_build=True):
    """The author of a change: `actor` for the audit, and the request's `ref`."""

    actor: str
    ref: str | None = None


class Usage(BaseModel, defer_build=True):
    """The use of one key on one day (UTC); `refused` counts by reason."""

    key_id: UUID
    ingress_list: str | None
    day: date
    accepted: int
    refused: dict[str, int]
    bytes: int


class AuditEvent(BaseModel, defer_build=True):
    """One row of the audit log."""

    id: int
    at: datetime
    action: str
    ref: str | None
    actor: str
    target: str
    detail: dict[str, Any]
