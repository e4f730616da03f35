"""A service token in the Plugboard's events."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class Token(BaseModel, defer_build=True):
    """One token of a service. `value` is present only in `token_created`, and is a secret."""

    model_config = ConfigDict(frozen=True)

    id: int
    context: str
    service_id: int
    inserted_at: datetime
    expires_at: datetime
    value: SecretStr | None = None


class TokenInUse(Token):
    """The token that a consumer is connected with; actions read its `value` as plain text.

    No `repr` and no dump of it holds the value.
    """

    value: str | None = Field(None, repr=False, exclude=True)  # type: ignore[assignment]


def in_use(token: Token, value: SecretStr) -> TokenInUse:
    """The token of a join, which comes without its value, with the value that was joined with."""
    fields = token.model_dump(exclude={"value"})
    return TokenInUse(**fields, value=value.get_secret_value())
