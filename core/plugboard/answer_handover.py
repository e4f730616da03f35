"""Handover of answers from a stopping replica to its peers, over a list in Redis.

The Plugboard takes no answers from a consumer that has left the channel, but it takes them from any
other consumer of the service. So a stopping replica leaves at once, and puts the answers that its
actions still produce into the list, from which its peers send them.

This needs a peer that serves the list. Replicas that stop together must not rely on each other, so
each removes itself from the register of serving replicas before it counts the others. The last one
counts zero and stays joined, serving the list, until the others have finished.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import NamedTuple

import orjson

from core.errors import UnavailableError
from core.interfaces import AnswerRelay
from core.observability import metrics
from core.rpc.outbox import MAX_BYTES, Answer, Outbox

log = logging.getLogger(__name__)

LEAVING_MARGIN = 5.0
"""Seconds beyond its grace for which a leaving replica stays in the register."""


class HandoverTimes(NamedTuple):
    """Seconds of waits and limits."""

    decision: float = 2.0
    """Limit of the decision whether to leave at once; then Redis counts as unavailable."""
    retry: float = 0.2
    """Wait between two attempts to hand an answer over, and between two counts of the peers."""
    serve_retry: float = 5.0
    """Wait before the list is read again after an unexpected error."""


class AnswerHandover:
    """One replica's part in the handover; does nothing without a relay."""

    def __init__(
        self,
        relay: AnswerRelay | None,
        outbox: Outbox,
        wake: Callable[[], None],
        refusal: bytes = b"{}",
        max_bytes: int = MAX_BYTES,
        times: HandoverTimes = HandoverTimes(),  # noqa: B008 -- immutable
    ) -> None:
        """Answers of peers go into `outbox`, and then `wake` is called.

        At most `max_bytes` of this replica's answers wait to be handed over; for an answer beyond
        that the `refusal` (JSON) is handed over instead.
        """
        self._times = times
        self._refusal = refusal
        self._max_bytes = max_bytes
        self._pending_bytes = 0
        self._wake = wake
        self._relay = relay
        self._outbox = outbox
        self._service_id: int | None = None
        self._joined = asyncio.Event()
        self._decision: asyncio.Task[bool] | None = None
        self._pending: asyncio.Queue[Answer] = asyncio.Queue()
        self._sender: asyncio.Task[None] | None = None

    # While this replica is joined

    def joined(self, service_id: int | None) -> None:
        """The channel is joined for this service."""
        self._service_id = service_id
        if service_id is not None:
            self._joined.set()

    def channel_lost(self) -> None:
        """The channel is not joined any more."""
        self._joined.clear()

    async def serve(self) -> None:
        """While joined, send the answers of peers that have left; runs until cancelled."""
        while self._relay is not None:
            await self._joined.wait()
            assert self._service_id is not None, "set by the join"
            try:
                await self._serve_one(self._relay, self._service_id)
            except Exception:  # peers depend on this task while the process lives
                log.exception("reading peers' answers failed")
                await asyncio.sleep(self._times.serve_retry)

    async def _serve_one(self, relay: AnswerRelay, service_id: int) -> None:
        text = await relay.next_answer(service_id, serving=self._decision is None)
        answer = None if text is None else Answer.from_text(text, _now())
        if answer is not None:
            metrics.ANSWERS_OF_PEERS.inc()
            self._outbox.send(answer)
            self._wake()

    # While this replica stops

    async def begin(self, consumers: int, grace: float) -> bool:
        """Return True if peers send the answers from now on.

        `consumers` is the Plugboard's count, `grace` the seconds that requests may still take.
        Further calls return the first result.
        """
        if self._decision is None:
            self._decision = asyncio.create_task(self._decide(consumers, grace))
        return await self._decision

    async def _decide(self, consumers: int, grace: float) -> bool:
        alone = self._joined.is_set() and consumers < 2
        if self._relay is None or self._service_id is None or alone:
            return False
        try:
            async with asyncio.timeout(self._times.decision):
                peers = await self._relay.leave(self._service_id, grace + LEAVING_MARGIN)
        except (UnavailableError, TimeoutError):
            return False
        if peers.serving == 0:
            return False
        self._sender = asyncio.create_task(self._send(self._relay, self._service_id))
        self._outbox.divert(self._enqueue)
        return True

    def _enqueue(self, answer: Answer) -> None:
        if self._pending_bytes and self._pending_bytes + answer.size > self._max_bytes:
            log.warning(
                "handover full, refusal sent instead",
                extra={"ref": answer.ref, "count": answer.size},
            )
            metrics.HANDOVER_FULL.inc()
            payload = orjson.Fragment(self._refusal)
            answer = answer._replace(payload=payload, size=len(self._refusal))
        self._pending_bytes += answer.size
        self._pending.put_nowait(answer)

    async def _send(self, relay: AnswerRelay, service_id: int) -> None:
        while True:
            answer = await self._pending.get()
            while answer.worth_sending(_now()):
                with contextlib.suppress(UnavailableError):
                    await relay.hand_over(service_id, answer.to_text(_now()))
                    metrics.ANSWERS_HANDED_OVER.inc()
                    break
                await asyncio.sleep(self._times.retry)
            self._pending_bytes -= answer.size
            self._pending.task_done()

    async def finish(self, seconds: float) -> None:
        """Hand the remaining answers over, or wait for leaving peers; at most `seconds`."""
        if self._relay is None or self._service_id is None:
            return
        with contextlib.suppress(TimeoutError, UnavailableError):
            least = self._times.decision if self._sender else self._times.retry
            async with asyncio.timeout(max(seconds, least)):
                await self._pending.join()
                await self._deregister(self._relay, self._service_id)
        if self._sender:
            self._sender.cancel()

    async def _deregister(self, relay: AnswerRelay, service_id: int) -> None:
        while True:
            peers = await relay.deregister(service_id)
            if self._sender or peers.leaving == 0:
                return
            await asyncio.sleep(self._times.retry)


def _now() -> float:
    return asyncio.get_running_loop().time()
