"""The settings of custody."""

from typing import Literal

from pydantic import BaseModel, Field


class CustodySettings(BaseModel, defer_build=True):
    """Where an accepted vCon is kept until its storages have it; the same in every replica."""

    custody: Literal["postgres", "redis"] = Field(
        "redis",
        description="What holds an accepted vCon until its storages have it: with `postgres` it "
        "survives the loss of Redis. The same in every replica.",
    )
    custody_fallback: Literal["none", "redis"] = Field(
        "none",
        description="With `redis`, vCons are accepted into Redis alone while Postgres is away, and "
        "the answer says so; with `none` they are refused (503).",
    )
    custody_at_claim: bool = Field(
        True,
        description="Take vCons that other programs have queued into custody before their first "
        "link.",
    )
    custody_retention_days: int = Field(
        7, ge=2, le=3650, description="Days that rows of custody are kept after their end."
    )
