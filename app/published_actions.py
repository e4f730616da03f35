"""The actions that this service publishes and runs, and the size of the handshake with them."""

from typing import Any, NamedTuple

from core.action_registry import ActionRegistry
from core.action_runner import ActionRunner
from core.errors import ConfigurationError
from core.plugboard.handshake import fingerprint, handshake_url, request_line_bytes
from core.settings import Settings


def offered_actions(settings: Settings) -> ActionRegistry:
    """The actions selected by ACTIONS and ADMIN_ACTIONS.

    Raises:
        ConfigurationError: when ACTIONS names an unknown action, or one that cannot be offered.
    """
    everything = ActionRegistry.discover("actions")
    wanted = everything.select(settings.actions) if settings.actions else everything
    withheld = {name: why for name, cls in wanted.items() if (why := _withheld(cls, settings))}
    if settings.actions and withheld:
        raise ConfigurationError([f"ACTIONS: {name} {why}" for name, why in withheld.items()])
    return wanted.select(name for name in wanted if name not in withheld)


def _withheld(cls: type[ActionRunner], settings: Settings) -> str | None:
    """Why an action is not offered; None if it is."""
    if cls.needs_pipeline and not settings.has_pipeline:
        return "needs a pipeline: set CONSERVER_CONFIG_FILE and REDIS_URL"
    if cls.administrative and not settings.admin_actions:
        return "is administrative: set ADMIN_ACTIONS=true"
    return None


class Publication(NamedTuple):
    """The published JSON, its fingerprint, and the handshake's request line with the token."""

    actions: dict[str, Any]
    fingerprint: str
    request_line_bytes: int
    request_line_limit: int

    @property
    def fits(self) -> bool:
        """Whether the request line is within the limit of the Plugboard."""
        return self.request_line_bytes <= self.request_line_limit

    @property
    def summary(self) -> str:
        """Number of actions, fingerprint and size, in one line."""
        return (
            f"{len(self.actions)} actions, fingerprint {self.fingerprint}, "
            f"request line {self.request_line_bytes} of {self.request_line_limit} bytes"
        )


def published(settings: Settings) -> Publication:
    """What a service with these settings publishes.

    Raises:
        ConfigurationError: as `offered_actions`.
    """
    actions = offered_actions(settings).to_dict()
    size = request_line_bytes(publishing_url(settings, actions))
    return Publication(actions, fingerprint(actions), size, settings.request_line_limit)


def publishing_url(settings: Settings, actions: dict[str, Any]) -> str:
    """The URL to connect to. It contains the configured token: never log it."""
    token = settings.token.get_secret_value()
    return handshake_url(settings.websocket_url, token, actions, settings.plugboard_vsn)
