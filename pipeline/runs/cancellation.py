"""Hearing that a run shall be cancelled, in the process that carries it out.

The wish stands in Redis (`pc:cancel:{run}`), where the next claim of the run finds it, and is told
on a channel to whoever runs it now. A message may come before the run it is about, since a claim's
reply takes its time; so what was heard last is remembered.
"""

import asyncio
import contextlib
from collections import deque

from core.errors import UnavailableError
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.run_state import RunState

LISTEN_PAUSE = 0.1
"""Seconds before listening again: Redis may refuse only that, such as for want of clients."""
REMEMBERED = 1000
"""Far more cancellations than are told while one claim is on its way."""


async def is_cancelled(connection: RedisConnection, run_id: str) -> bool:
    """Whether a running run was told to end; not so where its key is another program's."""
    return bool(await connection.command("TYPE", keys.cancel(run_id)) == "string")


class Cancellations:
    """Marks the runs of this process that somebody has cancelled."""

    def __init__(self, connection: RedisConnection) -> None:
        """Nothing is heard before `listen`."""
        self._connection = connection
        self._live: dict[str, RunState] = {}
        self._heard: deque[str] = deque(maxlen=REMEMBERED)

    async def listen(self) -> None:
        """Hear of cancelled runs, until this itself is cancelled."""
        while True:
            with contextlib.suppress(UnavailableError):
                async for run_id in self._connection.messages(keys.CANCEL_CHANNEL):
                    await self._hear(run_id)
            await asyncio.sleep(LISTEN_PAUSE)
            await self._connection.wait_until_reachable()

    def enter(self, live: RunState) -> None:
        """This process carries out this run from now on."""
        self._live[live.claim.run_id] = live
        live.cancelled = live.claim.cancelled == 1 or live.claim.run_id in self._heard

    def leave(self, live: RunState) -> None:
        """It does so no longer; it may have claimed the same run anew meanwhile."""
        if self._live.get(live.claim.run_id) is live:
            del self._live[live.claim.run_id]

    async def _hear(self, run_id: str) -> None:
        if run_id:
            self._heard.append(run_id)
            self._mark(run_id)
            return
        for each in list(self._live):  # we have just begun to listen, perhaps not in time
            if await is_cancelled(self._connection, each):
                self._mark(each)

    def _mark(self, run_id: str) -> None:
        if live := self._live.get(run_id):
            live.cancelled = True
