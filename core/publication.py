"""What the Plugboard is told of the actions, and whether that is short enough for it."""

from typing import Any, NamedTuple

from core.handshake import fingerprint, handshake_url, request_line_bytes
from core.offer import offered_actions
from core.settings import Settings


class Publication(NamedTuple):
    """The published JSON, its fingerprint, and the handshake's request line with the token."""

    actions: dict[str, Any]
    fingerprint: str
    request_line_bytes: int
    request_line_limit: int

    @property
    def fits(self) -> bool:
        """Whether the Plugboard reads that much."""
        return self.request_line_bytes <= self.request_line_limit

    @property
    def summary(self) -> str:
        """All but the JSON, in one line."""
        return (
            f"{len(self.actions)} actions, fingerprint {self.fingerprint}, "
            f"request line {self.request_line_bytes} of {self.request_line_limit} bytes"
        )


def published(settings: Settings) -> Publication:
    """What a service with these settings publishes.

    Raises:
        ConfigurationError: when ACTIONS names one that is not there.
    """
    actions = offered_actions(settings).to_dict()
    size = request_line_bytes(publishing_url(settings, actions))
    return Publication(actions, fingerprint(actions), size, settings.request_line_limit)


def publishing_url(settings: Settings, actions: dict[str, Any]) -> str:
    """The URL to connect to with the configured token; never to be shown."""
    token = settings.token.get_secret_value()
    return handshake_url(settings.websocket_url, token, actions, settings.plugboard_vsn)
