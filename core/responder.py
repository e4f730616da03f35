"""From a request to its answer in the outbox: every ref taken on is answered once."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from core import metrics
from core.action_response import ActionResponse
from core.dispatch import Dispatcher, incident
from core.log_context import current_request
from core.outbound import Answer, Outbox
from core.replies import ReplyFormat, encoded
from core.request_desk import RequestDesk

log = logging.getLogger(__name__)


class Responder:
    """Takes on requests and answers them; nothing it does waits for an action."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        desk: RequestDesk,
        reply_format: ReplyFormat,
        outbox: Outbox,
        answered: Callable[[], None],
    ) -> None:
        """`answered` is called whenever there is something new in the outbox."""
        self._dispatcher = dispatcher
        self._desk = desk
        self._reply_format = reply_format
        self._outbox = outbox
        self._answered = answered
        self._unanswered: dict[str, tuple[float, object]] = {}
        self._closed = False

    @property
    def action_timeout(self) -> float:
        """Seconds that an action gets."""
        return self._dispatcher.timeout

    def accept(
        self, action: object, fields: object, response_ref: object, client: Any, websocket: Any
    ) -> None:
        """Take on one request; its answer is sent when it is there, or a 503 at once."""
        if not isinstance(response_ref, str):
            metrics.WITHOUT_REF.inc()
            log.warning("a request without a ref cannot be answered")
            return
        self._unanswered[response_ref] = asyncio.get_running_loop().time(), action
        work = partial(self._work, action, fields, response_ref, client, websocket)
        if self._closed:
            metrics.REFUSED_STOPPING.inc()
            self._answer(response_ref, _busy("this replica is stopping"))
        elif not self._desk.take(work):
            metrics.REFUSED_FULL.inc()
            self._answer(response_ref, _busy("too many requests wait already"))

    async def close(self, grace: float) -> None:
        """Finish within `grace` seconds what was taken on; answer the rest, and all new, with 503.

        May be called twice; the shorter grace counts.
        """
        self._closed = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._desk.idle()
        self._desk.abandon()
        for ref in list(self._unanswered):
            self._answer(ref, _busy("this replica stopped before it was done"))

    async def _work(
        self, action: object, fields: object, ref: str, client: Any, websocket: Any
    ) -> None:
        current_request.set((ref, action))
        self._answer(ref, await self._dispatcher.answer(action, fields, client, websocket))

    def _answer(self, ref: str, response: ActionResponse) -> None:
        request = self._unanswered.pop(ref, None)
        if request is None:  # the ref came twice, or the request was given up
            return
        received_at, action = request
        self._outbox.send(Answer(ref, self._payload(response), received_at))
        self._answered()
        took = asyncio.get_running_loop().time() - received_at
        metrics.REQUESTS.ended((action, response.status_code), took)

    def _payload(self, response: ActionResponse) -> Any:
        try:
            return encoded(self._reply_format(response))
        except ValueError:
            return encoded(self._reply_format(incident("an answer that is not JSON")))


def _busy(why: str) -> ActionResponse:
    return ActionResponse(status_code=503, message=f"{why}; try again later")
