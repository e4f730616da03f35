"""Partners' keys, as operators manage them."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from schemas.ingress_key import IngressKey

type Label = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]*$")]
type ListName = Annotated[str, Field(min_length=1, max_length=512)]


class KeysQuery(BaseModel, defer_build=True):
    """Which keys are listed."""

    model_config = ConfigDict(extra="forbid")

    ingress_list: ListName | None = None


class Keys(BaseModel, defer_build=True):
    """Keys without their secrets, the newest first."""

    keys: list[IngressKey]


class KeyToCreate(BaseModel, defer_build=True):
    """A new key for one ingress list; a limit that is None is the service's own."""

    model_config = ConfigDict(extra="forbid")

    ingress_list: ListName
    label: Label
    expires_in_days: float | None = Field(None, gt=0, le=36_500)
    requests_per_minute: int | None = Field(None, ge=1, le=100_000)
    max_vcon_bytes: int | None = Field(None, ge=1, le=1_000_000_000)


class KeyToRotate(BaseModel, defer_build=True):
    """The key to replace; it works for `grace_hours` more."""

    model_config = ConfigDict(extra="forbid")

    key_id: UUID
    grace_hours: float = Field(24, ge=0, le=8760)


class KeyToRevoke(BaseModel, defer_build=True):
    """The key that is to work no longer."""

    model_config = ConfigDict(extra="forbid")

    key_id: UUID


class Key(BaseModel, defer_build=True):
    """One key, without its secret."""

    key: IngressKey


class KeyWithSecret(Key):
    """One key with its secret, which is told only now: Postgres has its hash."""

    secret: str
