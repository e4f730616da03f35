"""Cancellation of running runs, in the worker that runs them.

A cancellation is a key in Redis (`pc:cancel:{run}`), which the next claim of the run reads, and a
message on a channel for the worker that runs it now. A message may arrive before the reply to the
claim of its run, so the last messages are remembered.
"""

import asyncio
import contextlib
from collections import deque

from core.errors import UnavailableError
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.run_state import RunState

LISTEN_PAUSE = 0.1
"""Seconds until the next attempt to subscribe: Redis may refuse it, as at its client limit."""
REMEMBERED = 1000
"""More cancellations than arrive while the reply to one claim is on its way."""


async def is_cancelled(connection: RedisConnection, run_id: str) -> bool:
    """Whether a cancellation is requested; a key of another type is none."""
    return bool(await connection.command("TYPE", keys.cancel(run_id)) == "string")


class Cancellations:
    """Marks the cancelled runs of this worker."""

    def __init__(self, connection: RedisConnection) -> None:
        """No message is received before `listen`."""
        self._connection = connection
        self.live: dict[str, RunState] = {}
        """The runs of this worker, by run id."""
        self._heard: deque[str] = deque(maxlen=REMEMBERED)

    async def listen(self) -> None:
        """Receive cancellations until this task is cancelled."""
        while True:
            with contextlib.suppress(UnavailableError):
                async for run_id in self._connection.messages(keys.CANCEL_CHANNEL):
                    await self._hear(run_id)
            await asyncio.sleep(LISTEN_PAUSE)
            await self._connection.wait_until_reachable()

    def enter(self, live: RunState) -> None:
        """Register a run that this worker starts."""
        self.live[live.claim.run_id] = live
        live.cancelled = live.claim.cancelled == 1 or live.claim.run_id in self._heard

    def leave(self, live: RunState) -> None:
        """Remove a run, unless the worker has claimed it again meanwhile."""
        if self.live.get(live.claim.run_id) is live:
            del self.live[live.claim.run_id]

    async def _hear(self, run_id: str) -> None:
        if run_id:
            self._heard.append(run_id)
            self._mark(run_id)
            return
        for each in list(self.live):  # just subscribed: messages may have been missed
            if await is_cancelled(self._connection, each):
                self._mark(each)

    def _mark(self, run_id: str) -> None:
        if live := self.live.get(run_id):
            live.cancelled = True
