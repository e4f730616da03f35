"""Waiting for the end of runs, by the messages that `settle.lua` publishes.

A worker of an earlier version publishes nothing for a replayed run, and a message may be lost with
a connection. So the runs are also read every `LOOK_SECONDS`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import orjson

from core.errors import UnavailableError
from pipeline.redis_client import keys
from pipeline.redis_client.client import CommandRefused, RedisConnection
from schemas.run import FINISHED

LOOK_SECONDS = 1.0
"""Seconds between two reads of the runs, if no message comes."""
SUBSCRIBE_PAUSE = 0.1
"""Seconds until the next attempt to subscribe."""


class Ends:
    """Hears of the ends of runs, and of requests to stop."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection
        self._heard = asyncio.Event()
        self.wanted: set[str] = set()
        """Runs, and replays, whose messages end a wait."""

    @classmethod
    @asynccontextmanager
    async def heard(cls, connection: RedisConnection) -> AsyncIterator["Ends"]:
        """Listens until the block ends."""
        ends = cls(connection)
        listening = asyncio.create_task(ends._listen())
        try:
            yield ends
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            with contextlib.suppress(UnavailableError, CommandRefused):
                async for each in self._connection.messages(keys.FINISHED_CHANNEL):
                    if not each or each in self.wanted:  # empty: it listens from now on
                        self._heard.set()
            await asyncio.sleep(SUBSCRIBE_PAUSE)
            await self._connection.wait_until_reachable()

    async def news(self, seconds: float) -> bool:
        """Wait for a message, at most so long; False if none came."""
        try:
            async with asyncio.timeout(seconds):
                await self._heard.wait()
        except TimeoutError:
            return False
        self._heard.clear()
        return True

    async def statuses(self, runs: Sequence[str]) -> list[str]:
        """The status of each run; "done" for one whose record has expired."""
        if not runs:
            return []
        texts = await self._connection.command("MGET", *map(keys.run, runs))
        return [_status(text) if text else "done" for text in texts]


def _status(text: str) -> str:
    """The status in a run's record; "failed" if another program has replaced it."""
    try:
        return str(orjson.loads(text)["status"])
    except (ValueError, TypeError, KeyError):
        return "failed"


def has_ended(status: str) -> bool:
    """Whether a run goes on no more."""
    return status in FINISHED
