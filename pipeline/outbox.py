"""Finished runs wait in a Redis list until Postgres has them: its being away loses no history."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson

from core.errors import PatchcordError
from pipeline import keys
from pipeline.connection import RedisConnection

log = logging.getLogger(__name__)

BATCH = 500
PAUSE = 0.5
PAUSE_MAX = 5.0

KEPT = 200_000
"""Runs that wait at most, about as many kilobytes; beyond that the oldest are given up."""

type WriteRuns = Callable[[Sequence[dict[str, Any]]], Awaitable[None]]


class RunOutbox:
    """Moves finished runs from Redis into Postgres, in batches, oldest first.

    Every replica may do it at once: writing a run twice changes nothing, and the batch is dropped
    from the list only if its first run still heads it.
    """

    def __init__(self, connection: RedisConnection, write: WriteRuns) -> None:
        """`write` puts runs into Postgres; raises UnavailableError while that is away."""
        self._connection = connection
        self._write = write

    async def run(self) -> None:
        """Drain until cancelled."""
        pause = PAUSE
        while True:
            try:
                while await self.drain():
                    pass
                pause = PAUSE
            except PatchcordError as error:
                log.debug("run history waits", extra={"cause": str(error)})
                await self._bound()
                pause = min(pause * 2, PAUSE_MAX)
            await asyncio.sleep(pause)

    async def _bound(self) -> None:
        """Postgres may be away for longer than Redis has room: chains go on, history does not."""
        with contextlib.suppress(PatchcordError):
            waiting = int(await self._connection.command("LLEN", keys.HISTORY))
            if waiting > KEPT:
                await self._connection.command("LTRIM", keys.HISTORY, -KEPT, -1)
                log.warning(
                    "run history is too long: the oldest runs are given up",
                    extra={"runs": waiting - KEPT},
                )

    async def drain(self) -> int:
        """Write one batch; how many runs it had.

        Raises:
            UnavailableError: when Redis or Postgres cannot be reached; nothing is lost.
        """
        batch = await self._connection.command("LRANGE", keys.HISTORY, 0, BATCH - 1)
        if not batch:
            return 0
        await self._write([orjson.loads(text) for text in batch])
        await self._connection.script("drain_history", len(batch), batch[0])
        return len(batch)
