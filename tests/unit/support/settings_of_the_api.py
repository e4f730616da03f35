"""Settings for tests that build parts of the HTTP API without servers."""

from typing import Any

from core.settings import Settings


def settings_with(**changes: Any) -> Settings:
    """Settings of the API."""
    needed = [name for name, field in Settings.model_fields.items() if field.is_required()]
    given: dict[str, Any] = dict.fromkeys(needed, "1")
    given |= {"environment": "test", "websocket_url": "ws://x"}
    return Settings(_env_file=None, **(given | changes))
