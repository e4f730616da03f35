"""The base class of actions and events."""

from abc import abstractmethod
from collections.abc import Awaitable
from typing import Any, ClassVar

from core.action_response import ActionResponse
from core.action_schema import ActionSchema


class ActionRunner(ActionSchema):
    """An action: its fields are the request, `run` returns the response.

    `async def run` runs on the event loop; a plain `def run` runs in a bounded pool of threads.
    """

    needs_pipeline: ClassVar[bool] = False
    """Published only in a service with a pipeline."""
    limits_size: ClassVar[bool] = False
    """The action checks the size of its fields itself, after another check that comes first."""
    text_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields that `run` also accepts as the UTF-8 JSON text of an object, if it is large."""
    administrative: ClassVar[bool] = False
    """Deletes, replays or manages keys: published only with ADMIN_ACTIONS=true."""
    about_law: ClassVar[bool] = False
    """Verifies, releases, records bases or erases: published only with LAW_ACTIONS=true."""

    @abstractmethod
    def run(
        self, client: Any, websocket: Any
    ) -> Awaitable[ActionResponse | None] | ActionResponse | None:
        """Run the action and return the response; an event returns None.

        `client` is the `core.plugboard.client.PlugboardClient`, `websocket` its connection. Both
        are `Any`, so that an override can declare narrower types.
        """
