"""A closed loop of callers: each asks again as soon as it has its answer."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager


class Callers:
    """So many callers; `outcomes` counts what `ask` has returned."""

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
        """Inside this context all of them call; afterwards each has its last answer."""
        callers = [asyncio.create_task(self._call()) for _ in range(self._count)]
        try:
            yield
        finally:
            self.stop()
            await asyncio.gather(*callers)

    def stop(self) -> None:
        """Nobody asks again."""
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
        """Return when so many more have been answered."""
        wanted = self.outcomes.total() + count
        async with self._changed:
            await self._changed.wait_for(lambda: self.outcomes.total() >= wanted)

    async def only_waiting(self, count: int) -> None:
        """Return when no more than so many wait for an answer."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting <= count)
