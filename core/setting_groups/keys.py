"""The settings of ingress keys, and which secrets plugins do not get."""

from pydantic import BaseModel, Field, field_validator

OWN_SECRETS = (
    "TOKEN",
    "POSTGRES_PASSWORD",
    "CONSERVER_API_TOKEN",
    "CONSOLE_PASSWORD",
    "CONSOLE_READ_PASSWORD",
)
"""Variables withheld from workers and plugins, unless the configuration refers to them."""

INDEX_SECRETS = ("INDEX_SECRET", "INDEX_SECRETS_EARLIER")
"""Withheld from both without exception: only the service writes the index of vCons."""


class KeySettings(BaseModel, defer_build=True):
    """Ingress keys and their rates, and the withheld secrets."""

    require_ingress_key: bool = Field(False, description="IngestVcon asks for an ingress key too.")
    plugin_secrets: str = Field(
        "",
        description="Those of TOKEN, POSTGRES_PASSWORD, CONSERVER_API_TOKEN, CONSOLE_PASSWORD and "
        "CONSOLE_READ_PASSWORD that plugins may read, with commas.",
    )
    core_dumps: bool = Field(
        False, description="A process that crashes may leave its memory on the disk."
    )
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

    @field_validator("plugin_secrets")
    @classmethod
    def _are_own_secrets(cls, value: str) -> str:
        if unknown := sorted(_names(value) - set(OWN_SECRETS)):
            msg = f"must name {' or '.join(OWN_SECRETS)}, not {', '.join(unknown)}"
            raise ValueError(msg)
        return value

    @property
    def withheld(self) -> frozenset[str]:
        """The variables withheld from workers and plugins."""
        return frozenset((*OWN_SECRETS, *INDEX_SECRETS)) - _names(self.plugin_secrets)


def _names(text: str) -> set[str]:
    return {name.strip() for name in text.split(",") if name.strip()}
