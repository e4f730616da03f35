"""Answers that change hands: from a replica that has left to one that stays.

After a leave the Plugboard takes no answers from a consumer, but it takes them from any other
consumer of the service. So a replica that stops leaves at once, and what its actions still bring
goes over a list in Redis to its peers. That needs a peer which serves the list. Replicas that stop
together must not all rely on each other, so each takes itself out of the register before it counts
the others: the last one finds nobody and stays joined until all have finished.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable

import orjson

from core.errors import UnavailableError
from core.interfaces import AnswerRelay
from core.observability import metrics
from core.rpc.outbox import MOST_BYTES, Answer, Outbox

log = logging.getLogger(__name__)

DECIDE_WITHIN = 2.0
"""Seconds until a Redis that does not answer counts as away, when there is little time."""
AGAIN = 0.2
"""Seconds between two tries, and between two looks at the peers."""
SERVE_AGAIN = 5.0
"""Seconds until the list is looked at again after something nobody expected."""
SHOWN_LONGER = 5.0
"""Seconds beyond its grace that a leaving replica may take until it counts as dead."""


class AnswerHandover:
    """One replica's part in it; does nothing without a relay."""

    def __init__(
        self,
        relay: AnswerRelay | None,
        outbox: Outbox,
        wake: Callable[[], None],
        refusal: bytes = b"{}",
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """Answers of peers go into `outbox`; `wake` is called when one is there.

        Of own answers at most `most_bytes` wait to be given away; a caller whose answer would be
        too much gets the `refusal`, JSON, instead.
        """
        self._refusal = refusal
        self._most_bytes = most_bytes
        self._waiting_bytes = 0
        self._wake = wake
        self._relay = relay
        self._outbox = outbox
        self._service_id: int | None = None
        self._joined = asyncio.Event()
        self._decision: asyncio.Task[bool] | None = None
        self._given: asyncio.Queue[Answer] = asyncio.Queue()
        self._giving: asyncio.Task[None] | None = None

    # While this replica serves

    def joined(self, service_id: int | None) -> None:
        """Answers can be sent for this service."""
        self._service_id = service_id
        if service_id is not None:
            self._joined.set()

    def parted(self) -> None:
        """No answers can be sent."""
        self._joined.clear()

    async def serve(self) -> None:
        """Send the answers of peers that have left, whenever joined; until cancelled."""
        while self._relay is not None:
            await self._joined.wait()
            assert self._service_id is not None, "known since the join"
            try:
                await self._serve_one(self._relay, self._service_id)
            except Exception:  # peers rely on this for as long as the process lives
                log.exception("the answers of peers cannot be served just now")
                await asyncio.sleep(SERVE_AGAIN)

    async def _serve_one(self, relay: AnswerRelay, service_id: int) -> None:
        text = await relay.next_answer(service_id, serving=self._decision is None)
        answer = None if text is None else Answer.from_text(text, _now())
        if answer is not None:
            metrics.ANSWERS_OF_PEERS.inc()
            self._outbox.send(answer)
            self._wake()

    # When it leaves

    async def begin(self, consumers: int, grace: float) -> bool:
        """Whether peers take the answers from now on; `consumers` is the Plugboard's count.

        Asked again, it says the same.
        """
        if self._decision is None:
            self._decision = asyncio.create_task(self._decide(consumers, grace))
        return await self._decision

    async def _decide(self, consumers: int, grace: float) -> bool:
        alone = self._joined.is_set() and consumers < 2
        if self._relay is None or self._service_id is None or alone:
            return False
        try:
            async with asyncio.timeout(DECIDE_WITHIN):
                company = await self._relay.leave(self._service_id, grace + SHOWN_LONGER)
        except (UnavailableError, TimeoutError):
            return False
        if company.serving == 0:
            return False
        self._giving = asyncio.create_task(self._give(self._relay, self._service_id))
        self._outbox.divert(self._take)
        return True

    def _take(self, answer: Answer) -> None:
        if self._waiting_bytes and self._waiting_bytes + answer.size > self._most_bytes:
            log.warning(
                "answer not handed over, refusal instead",
                extra={"ref": answer.ref, "count": answer.size},
            )
            metrics.HANDOVER_FULL.inc()
            payload = orjson.Fragment(self._refusal)
            answer = answer._replace(payload=payload, size=len(self._refusal))
        self._waiting_bytes += answer.size
        self._given.put_nowait(answer)

    async def _give(self, relay: AnswerRelay, service_id: int) -> None:
        while True:
            answer = await self._given.get()
            while answer.worth_sending(_now()):
                with contextlib.suppress(UnavailableError):
                    await relay.hand_over(service_id, answer.to_text(_now()))
                    metrics.ANSWERS_HANDED_OVER.inc()
                    break
                await asyncio.sleep(AGAIN)
            self._waiting_bytes -= answer.size
            self._given.task_done()

    async def finish(self, seconds: float) -> None:
        """Give away what is left, or wait for those who rely on us; within so many seconds."""
        if self._relay is None or self._service_id is None:
            return
        with contextlib.suppress(TimeoutError, UnavailableError):
            async with asyncio.timeout(max(seconds, DECIDE_WITHIN if self._giving else AGAIN)):
                await self._given.join()
                await self._go(self._relay, self._service_id)
        if self._giving:
            self._giving.cancel()

    async def _go(self, relay: AnswerRelay, service_id: int) -> None:
        while True:
            company = await relay.gone(service_id)
            if self._giving or company.leaving == 0:
                return
            await asyncio.sleep(AGAIN)


def _now() -> float:
    return asyncio.get_running_loop().time()
