"""A time limit that counts only while the event loop turns."""

import asyncio
from types import TracebackType
from typing import Self

SLICES = 10


class LoopTimeout:
    """`async with`: raises TimeoutError after that many seconds of a turning loop.

    `asyncio.timeout` ends right after the loop was blocked for longer than the limit, although the
    reply that is waited for lies in the socket's buffer. Here a blockage counts as a tenth at most.
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
