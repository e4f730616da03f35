"""A span around each request, put there from outside and only where traces are sent."""

import asyncio
from collections.abc import Mapping
from typing import Any, override

from core import log_context
from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.dispatch import Dispatcher, RunBlocking
from core.helper_process import Apart, here
from core.metrics import UNKNOWN
from core.spans import Spans, installed


class TracedDispatcher(Dispatcher):
    """Answers as a `Dispatcher` does."""

    def __init__(
        self,
        actions: Mapping[str, type[ActionRunner]],
        spans: Spans,
        *,
        run_blocking: RunBlocking,
        apart: Apart = here,
    ) -> None:
        """`spans` is what to trace with."""
        super().__init__(actions, run_blocking=run_blocking, apart=apart)
        self._names = frozenset(actions)
        self._spans = spans

    @override
    async def answer(
        self, name: object, fields: object, client: Any, websocket: Any
    ) -> ActionResponse:
        """The answer to one request; its span has the action, the ref and the code."""
        action = name if isinstance(name, str) and name in self._names else UNKNOWN
        about = {"action": action, "ref": str(log_context.fields().get("ref", ""))}
        with self._spans.span(f"request.{action}", about) as span:
            try:
                response = await super().answer(name, fields, client, websocket)
            except asyncio.CancelledError:  # its time was over, or this replica stops
                span.failed("cancelled")
                raise
            span.say("code", response.status_code)
            if response.status_code >= 500:
                span.failed(str(response.status_code))
            return response


def dispatcher(
    actions: Mapping[str, type[ActionRunner]], *, run_blocking: RunBlocking, apart: Apart = here
) -> Dispatcher:
    """A dispatcher, traced if anything is."""
    if (spans := installed()) is None:
        return Dispatcher(actions, run_blocking=run_blocking, apart=apart)
    return TracedDispatcher(actions, spans, run_blocking=run_blocking, apart=apart)
