"""The settings of the way to Redis, besides its address."""

import ssl
from pathlib import Path

from pydantic import BaseModel, Field, SecretStr, field_validator

MOST_CA_BYTES = 4 * 1024 * 1024
"""A machine's own bundle has a quarter of a megabyte."""


class RedisSettings(BaseModel, defer_build=True):
    """TLS, sentinels and replicas."""

    redis_ca_file: Path | None = Field(
        None,
        description="Certificates (PEM) trusted for rediss://, in place of the machine's.",
    )
    redis_sentinel_user: str = Field(
        "", description="User of the sentinels' own ACL, if they have one besides `default`."
    )
    redis_sentinel_password: SecretStr = Field(
        SecretStr(""),
        description="Password of the sentinels; the one in REDIS_URL is of Redis itself.",
    )
    redis_wait_replicas: int = Field(
        0,
        ge=0,
        le=16,
        description="Replicas of Redis that must have a vCon before it is accepted; fewer: 503.",
    )
    redis_wait_seconds: float = Field(
        1.0, gt=0, le=5, description="Seconds for these replicas to have it."
    )

    @field_validator("redis_ca_file")
    @classmethod
    def _has_certificates(cls, value: Path | None) -> Path | None:
        if value is None:
            return None
        try:
            if not value.is_file():  # a pipe would block
                msg = f"{value} is no file"
                raise ValueError(msg)
            if value.stat().st_size > MOST_CA_BYTES:
                msg = f"{value} is larger than {MOST_CA_BYTES} bytes"
                raise ValueError(msg)
            ssl.create_default_context(cafile=value)
        except ssl.SSLError:
            msg = f"{value} has no certificates in PEM"
            raise ValueError(msg) from None
        except OSError as error:
            msg = f"{value} cannot be read: {error.strerror}"
            raise ValueError(msg) from None
        return value
