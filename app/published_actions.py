"""The actions that this service publishes and runs, and the size of the handshake with them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from core.action_registry import ActionRegistry
from core.action_runner import ActionRunner
from core.errors import ConfigurationError
from core.plugboard.handshake import fingerprint, handshake_url, request_line_bytes
from core.settings import Settings

COMPACT = "Admin"
"""The action that has the operations of the administrative ones."""


def offered_actions(settings: Settings) -> ActionRegistry:
    """The actions that run: those selected by ACTIONS, ADMIN_ACTIONS and LAW_ACTIONS.

    Raises:
        ConfigurationError: when ACTIONS names an unknown action, or one that cannot be offered.
    """
    everything = ActionRegistry.discover("actions")
    named, left_out = _selection(settings)
    everything.select(left_out)  # an unknown name is a mistake here, too
    wanted = everything.select(named or everything)
    withheld = {name: why for name, cls in wanted.items() if (why := _withheld(cls, settings))}
    if named and withheld:
        raise ConfigurationError([f"ACTIONS: {name} {why}" for name, why in withheld.items()])
    return wanted.select(name for name in wanted if name not in {*withheld, *left_out})


def published_actions(settings: Settings, offered: ActionRegistry) -> dict[str, Any]:
    """What the Plugboard is told of the actions that run.

    The administrative ones are not listed one by one unless ACTIONS names them: `Admin` has their
    operations, and the request line has room for other actions. If the line would be too long all
    the same, fields come without their descriptions, and if need be actions without their fields.
    """
    named, _ = _selection(settings)
    shown = offered.select(
        name
        for name, cls in offered.items()
        if name in named or name == COMPACT or not cls.administrative
    )
    actions = shown.to_dict()
    for shorten in (_without_field_descriptions, _without_fields):
        if _line_bytes(settings, actions) <= settings.request_line_limit:
            break
        actions = {name: shorten(described) for name, described in actions.items()}
    return actions


def _selection(settings: Settings) -> tuple[list[str], list[str]]:
    """The names in ACTIONS that are wanted, and those with a minus, which are left out."""
    named = [name for name in settings.actions if not name.startswith("-")]
    return named, [name[1:].strip() for name in settings.actions if name.startswith("-")]


def _without_field_descriptions(described: Mapping[str, Any]) -> dict[str, Any]:
    fields = {
        name: {key: value for key, value in field.items() if key != "description"}
        for name, field in described["fields"].items()
    }
    return {**described, "fields": fields}


def _without_fields(described: Mapping[str, Any]) -> dict[str, Any]:
    return {**described, "fields": {}}


def _withheld(cls: type[ActionRunner], settings: Settings) -> str | None:
    """Why an action is not offered; None if it is."""
    if cls.needs_pipeline and not settings.has_pipeline:
        return "needs a pipeline: set CONSERVER_CONFIG_FILE and REDIS_URL"
    if cls.administrative and not settings.admin_actions:
        return "is administrative: set ADMIN_ACTIONS=true"
    if cls.about_law and not settings.law_actions:
        return "is about the law: set LAW_ACTIONS=true"
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
    actions = published_actions(settings, offered_actions(settings))
    size = _line_bytes(settings, actions)
    return Publication(actions, fingerprint(actions), size, settings.request_line_limit)


def _line_bytes(settings: Settings, actions: dict[str, Any]) -> int:
    return request_line_bytes(publishing_url(settings, actions))


def publishing_url(settings: Settings, actions: dict[str, Any]) -> str:
    """The URL to connect to. It contains the configured token: never log it."""
    token = settings.token.get_secret_value()
    return handshake_url(settings.websocket_url, token, actions, settings.plugboard_vsn)
