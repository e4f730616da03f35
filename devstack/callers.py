"""Closed-loop load: each caller sends its next request when the last one is answered."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager


class Callers:
    """`count` callers; `outcomes` counts the results of `ask`."""

    def __init__(self, ask: Callable[[], Awaitable[Hashable]], count: int) -> None:
        """`ask` makes one request, and must not raise."""
        self.outcomes: Counter[Hashable] = Counter()
        self._ask = ask
        self._count = count
        self._stopping = False
        self._waiting = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def calling(self) -> AsyncIterator[None]:
        """The callers run inside this context; on exit each gets its last answer."""
        callers = [asyncio.create_task(self._call()) for _ in range(self._count)]
        try:
            yield
        finally:
            self.stop()
            await asyncio.gather(*callers)

    def stop(self) -> None:
        """Send no further requests."""
        self._stopping = True

    async def _call(self) -> None:
        while not self._stopping:
            self._waiting += 1
            outcome = await self._ask()
            async with self._changed:
                self._waiting -= 1
                self.outcomes[outcome] += 1
                self._changed.notify_all()

    async def further(self, count: int) -> None:
        """Return when `count` more requests have been answered."""
        wanted = self.outcomes.total() + count
        async with self._changed:
            await self._changed.wait_for(lambda: self.outcomes.total() >= wanted)

    async def only_waiting(self, count: int) -> None:
        """Return when at most `count` requests are pending."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting <= count)
