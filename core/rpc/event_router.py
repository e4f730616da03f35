"""Runs the class of `events/` for each event that the channel receives."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Mapping
from typing import Any

from pydantic import ValidationError

from core.action_runner import ActionRunner

log = logging.getLogger(__name__)


class EventRouter:
    """Runs events; the error of one is logged and does not affect others."""

    def __init__(self, events: Mapping[str, type[ActionRunner]], topic: str) -> None:
        """`events` by event name; `topic` is passed to them as a field."""
        self._events = dict(events)
        self._topic = topic
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def known(self) -> dict[str, type[ActionRunner]]:
        """The events by name; a copy."""
        return dict(self._events)

    def route(
        self, event: str, payload: Mapping[str, Any], ref: str | None, client: Any, websocket: Any
    ) -> None:
        """Validate the message and run its event; an `async def run` runs in a task."""
        try:
            self._run(event, payload, ref, client, websocket)
        except ValidationError as error:
            log.warning(
                "malformed event from the Plugboard",
                extra={"event_name": event, "count": error.error_count()},
            )
        except Exception:
            log.exception("event failed", extra={"event_name": event})

    def _run(
        self, event: str, payload: Mapping[str, Any], ref: str | None, client: Any, websocket: Any
    ) -> None:
        kind = self._events.get(event)
        if kind is None:
            log.info("unknown event from the Plugboard", extra={"event_name": event[:100]})
            return
        message = {"topic": self._topic, "event": event, "payload": payload, "ref": ref}
        outcome: object = kind.model_validate(message).run(client, websocket)
        if outcome is not None and inspect.isawaitable(outcome):
            task = asyncio.get_running_loop().create_task(_finish(event, outcome))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


async def _finish(event: str, outcome: Awaitable[object]) -> None:
    try:
        await outcome
    except Exception:
        log.exception("event failed", extra={"event_name": event})
