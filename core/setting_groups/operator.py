"""The settings of the operations, the command line and the console."""

from typing import Annotated

from pydantic import BaseModel, Field, SecretStr, StringConstraints

SHORTEST_INDEX_SECRET = 16


class OperatorSettings(BaseModel, defer_build=True):
    """What operators may ask for, and how much of it."""

    phone_region: Annotated[
        str, StringConstraints(strip_whitespace=True, to_upper=True, pattern=r"^[A-Za-z]{2}$")
    ] = Field("US", description="Country (ISO 3166) of phone numbers without a country code.")
    index_terms_clear: bool = Field(
        False,
        description="Keep numbers, addresses and names in `vcon_index` clear, not as keyed hashes.",
    )
    index_secret: SecretStr | None = Field(
        None,
        min_length=SHORTEST_INDEX_SECRET,
        description="Secret of these hashes; unset: one that the service makes and Postgres keeps.",
    )
    index_secrets_earlier: SecretStr = Field(
        SecretStr(""),
        description="Comma-separated earlier values of `INDEX_SECRET`; searches use them too.",
    )
    try_vcon_seconds: float = Field(
        10.0, gt=0, le=600, description="Seconds that one vCon may take in a trial (`try`)."
    )
    try_seconds: float = Field(
        300.0, gt=0, le=86_400, description="Seconds of a whole trial; other vCons are left out."
    )
    try_memory: int = Field(
        512 * 1024 * 1024,
        ge=128 * 1024 * 1024,
        description="Bytes of memory that a trial may take besides its modules.",
    )
    replay_canary_seconds: float = Field(
        600, ge=1, le=86_400, description="Seconds that a replay waits for its canary's runs."
    )

    @property
    def index_secrets(self) -> list[str]:
        """The secrets of the hashes that are set, the present one first."""
        present = self.index_secret.get_secret_value() if self.index_secret else ""
        earlier = self.index_secrets_earlier.get_secret_value().split(",")
        return [each for each in (present, *(each.strip() for each in earlier)) if each]
