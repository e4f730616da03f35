"""Takes on requests: so many at once, so many waiting, and no more than that.

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

MOST_ASIDE = 1024
"""How many pieces may go on without taking up room: each still takes up memory."""


class RequestDesk:
    """Runs pieces of work under a bound."""

    def __init__(self, *, at_once: int, waiting: int) -> None:
        """`at_once` pieces run together; up to `waiting` more are kept."""
        self._at_once = at_once
        self._most_waiting = waiting
        self._waiting: deque[Work] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._taken = self._aside = 0

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

    def take(self, work: Work) -> bool:
        """Start it now, or when there is room; False when too many wait already.

        What is started now runs until it first has to wait before this returns.
        """
        if self._taken < self._at_once:
            self._start(work)
            return True
        if len(self._waiting) < self._most_waiting:
            self._waiting.append(work)
            return True
        return False

    def _start(self, work: Work) -> None:
        self._taken += 1
        # Eagerly: what need not wait for anything is done by then, without a turn of the loop.
        task = asyncio.Task(work(), loop=asyncio.get_running_loop(), eager_start=True)
        if task.done():
            self._taken -= 1
            _judge(task)
        else:
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._taken -= 1
        _judge(task)
        self._fill()

    def _fill(self) -> None:
        while self._waiting and self._taken < self._at_once:
            self._start(self._waiting.popleft())

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
        self._waiting.clear()
        for task in self._running:
            task.cancel()


def _judge(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("a request's work failed", exc_info=error)
