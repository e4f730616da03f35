"""Which actions this service publishes and runs."""

from core.action_registry import ActionRegistry
from core.action_runner import ActionRunner
from core.errors import ConfigurationError
from core.settings import Settings


def offered_actions(settings: Settings) -> ActionRegistry:
    """The actions that are published and run, as the settings want it.

    Raises:
        ConfigurationError: when ACTIONS names one that is not there.
    """
    everything = ActionRegistry.discover("actions")
    wanted = everything.select(settings.actions) if settings.actions else everything
    withheld = {name: why for name, cls in wanted.items() if (why := _withheld(cls, settings))}
    if settings.actions and withheld:
        raise ConfigurationError([f"ACTIONS: {name} {why}" for name, why in withheld.items()])
    return wanted.select(name for name in wanted if name not in withheld)


def _withheld(cls: type[ActionRunner], settings: Settings) -> str | None:
    """Why an action is not offered, if it is not."""
    if cls.needs_pipeline and not settings.has_pipeline:
        return "needs a pipeline: set CONSERVER_CONFIG_FILE and REDIS_URL"
    if cls.administrative and not settings.admin_actions:
        return "is administrative: set ADMIN_ACTIONS=true"
    return None
