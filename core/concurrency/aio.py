"""A timeout that does not count while the event loop is blocked, and pauses that end together."""

import asyncio
import time
from types import TracebackType
from typing import Self

SLICES = 10
"""Timers into which a timeout is divided."""
BEGAN = time.monotonic()
"""Beats count from here: those of processes that started at other times do not coincide."""


def until_beat(seconds: float, now: float | None = None) -> float:
    """Seconds until the next multiple of `seconds`: at least half of them, at most one and a half.

    Tasks that pause so wake together, and their commands share a message to Redis. An idle process
    then wakes a few times a second, not once for each of its tasks. `now`: the time, by default
    `time.monotonic()`.
    """
    if seconds <= 0:
        return 0.0
    now = time.monotonic() if now is None else now
    left = seconds - (now - BEGAN) % seconds
    return left if left >= seconds / 2 else left + seconds


class LoopTimeout:
    """`async with`: raises TimeoutError after so many seconds of a running event loop.

    `asyncio.timeout` expires directly after the loop was blocked for longer than the limit, even if
    the awaited reply is in the socket's buffer. Here one blockage counts for a tenth at most.
    """

    def __init__(self, seconds: float) -> None:
        self._slice = seconds / SLICES
        self._left = SLICES
        self._limit = asyncio.timeout(None)
        self._handle: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        await self._limit.__aenter__()
        self._arm()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._handle is not None:
            self._handle.cancel()
        await self._limit.__aexit__(kind, error, trace)

    def _arm(self) -> None:
        self._handle = asyncio.get_running_loop().call_later(self._slice, self._tick)

    def _tick(self) -> None:
        self._left -= 1
        if self._left:
            self._arm()
        else:
            self._limit.reschedule(asyncio.get_running_loop().time())
