"""The settings of partners' ingress keys."""

from pydantic import BaseModel, Field


class KeySettings(BaseModel):
    """What partners' keys may be like, and how often they are used and tried."""

    require_ingress_key: bool = Field(False, description="IngestVcon asks for an ingress key too.")
    allow_weak_keys: bool = Field(
        False, description="Keys in config.yml may have fewer than 16 characters; for development."
    )
    revoked_key_seconds: float = Field(
        60.0,
        ge=1,
        description="Seconds that a revoked key works at most, also if Postgres is away then.",
    )
    ingress_key_requests_per_minute: int = Field(
        6000,
        ge=0,
        le=100_000,
        description="Requests of a key and its rotations a minute, if it has no limit; 0: any.",
    )
    failed_keys_per_minute: int = Field(
        300,
        ge=0,
        description="Wrong keys a minute for one list and replica, then 429; 0: any number.",
    )
