"""Takes on requests: so many at once, so many waiting, so many bytes, and no more than that.

The Plugboard pushes without limit, so the limit is here. Taking on a request never waits.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

log = logging.getLogger(__name__)

type Work = Callable[[], Coroutine[Any, Any, None]]

MOST_BYTES = 256 * 1024 * 1024
MOST_ASIDE = 1024
"""How many pieces may go on without taking up room: each still takes up memory."""


class ConcurrencyLimiter:
    """Runs pieces of work under a bound."""

    def __init__(self, *, at_once: int, waiting: int, most_bytes: int = MOST_BYTES) -> None:
        """`at_once` pieces run together; up to `waiting` more are kept.

        All of them together hold `most_bytes` of memory; one alone may hold more.
        """
        self._at_once = at_once
        self._most_waiting = waiting
        self._most_bytes = most_bytes
        self._waiting: deque[tuple[Work, int]] = deque()
        self._running: dict[asyncio.Task[None], int] = {}
        self._taken = self._aside = self._held = 0

    @property
    def running(self) -> int:
        """How many pieces are worked on and take up room."""
        return self._taken

    @property
    def aside(self) -> int:
        """How many have stepped aside."""
        return self._aside

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def held_bytes(self) -> int:
        """How much memory those hold that run, wait or have stepped aside."""
        return self._held

    def take(self, work: Work, size: int = 0) -> bool:
        """Start it now, or when there is room; False when too many wait already.

        `size`: bytes of memory that it holds until it has ended. What is started now runs until it
        first has to wait before this returns.
        """
        if self._held and self._held + size > self._most_bytes:
            return False
        if self._taken < self._at_once:
            self._held += size
            self._start(work, size)
            return True
        if len(self._waiting) < self._most_waiting:
            self._held += size
            self._waiting.append((work, size))
            return True
        return False

    def _start(self, work: Work, size: int) -> None:
        self._taken += 1
        # Eagerly: what need not wait for anything is done by then, without a turn of the loop.
        task = asyncio.Task(work(), loop=asyncio.get_running_loop(), eager_start=True)
        if task.done():
            self._taken -= 1
            self._held -= size
            _judge(task)
        else:
            self._running[task] = size
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._held -= self._running.pop(task)
        self._taken -= 1
        _judge(task)
        self._fill()

    def _fill(self) -> None:
        while self._waiting and self._taken < self._at_once:
            self._start(*self._waiting.popleft())

    def step_aside(self) -> bool:
        """The piece that runs now only waits until `come_back`: its room is for others.

        False when too many have done so already; then it keeps its room.
        """
        if self._aside >= MOST_ASIDE:
            return False
        self._aside += 1
        self._taken -= 1
        # In a context of its own: what begins there has nothing to do with this piece.
        asyncio.get_running_loop().call_soon(self._fill, context=Context())
        return True

    def come_back(self) -> None:
        """It goes on, at once; so for a moment there may be one too many."""
        self._aside -= 1
        self._taken += 1

    async def idle(self) -> None:
        """Until nothing runs and nothing waits."""
        while self._running:
            await asyncio.wait(self._running)

    def abandon(self) -> None:
        """Cancel what runs and forget what waits."""
        self._held -= sum(size for _, size in self._waiting)
        self._waiting.clear()
        for task in self._running:
            task.cancel()


def _judge(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("a request's work failed", exc_info=error)
