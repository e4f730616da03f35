"""How workers get secrets of the service: over descriptors, not in their environment."""

import orjson
from pydantic import SecretStr

from core.secrets.handed import received
from core.settings import Settings


def postgres_password(settings: Settings) -> dict[str, str]:
    """By the setting that has the number of the descriptor."""
    return {"POSTGRES_PASSWORD_FD": settings.postgres_password.get_secret_value()}


def index_secrets(settings: Settings) -> dict[str, str]:
    """The same of the secrets with which numbers and addresses are hashed, if any is set."""
    if not settings.index_secrets:
        return {}
    present, earlier = settings.index_secret, settings.index_secrets_earlier
    both = [present and present.get_secret_value(), earlier.get_secret_value()]
    return {"INDEX_SECRETS_FD": orjson.dumps(both).decode()}


def settings_with_handed(settings: Settings) -> Settings:
    """The settings of a worker, with the secrets that the service has handed to it."""
    update: dict[str, SecretStr | None] = {}
    if (descriptor := settings.postgres_password_fd) is not None:
        update["postgres_password"] = SecretStr(received(descriptor))
    if (descriptor := settings.index_secrets_fd) is not None:
        present, earlier = orjson.loads(received(descriptor))
        update["index_secret"] = None if present is None else SecretStr(present)
        update["index_secrets_earlier"] = SecretStr(earlier)
    return settings.model_copy(update=update)
