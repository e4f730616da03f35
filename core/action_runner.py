"""The base class of everything that runs when the Plugboard says so."""

from abc import abstractmethod
from collections.abc import Awaitable
from typing import Any, ClassVar

from core.action_response import ActionResponse
from core.action_schema import ActionSchema


class ActionRunner(ActionSchema):
    """An action: its fields are the request, `run` gives the answer.

    `async def run` runs on the event loop; a plain `def run` runs in a bounded pool of threads.
    """

    needs_pipeline: ClassVar[bool] = False
    """Published only where chains run."""
    limits_size: ClassVar[bool] = False
    """Refuses by itself what is too large, after something that has to come first."""
    text_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields that `run` takes as the UTF-8 JSON text of an object, too, where that is large."""
    administrative: ClassVar[bool] = False
    """Destroys, replays, or is about keys: published only with ADMIN_ACTIONS=true."""

    @abstractmethod
    def run(
        self, client: Any, websocket: Any
    ) -> Awaitable[ActionResponse | None] | ActionResponse | None:
        """Do it and answer; an event has no answer and is a plain `def`.

        `client` is the `core.plugboard.client.PlugboardClient`, `websocket` its connection. Both
        are `Any` here so that an override may name them as exactly as it likes.
        """
