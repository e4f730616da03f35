"""A service token as the Plugboard describes it."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, SecretStr


class Token(BaseModel):
    """One token of a service. `value` is present only in `token_created`, and is a secret."""

    model_config = ConfigDict(frozen=True)

    id: int
    context: str
    service_id: int
    inserted_at: datetime
    expires_at: datetime
    value: SecretStr | None = None
