"""Takes on requests: so many at once, so many waiting, and no more than that.

The Plugboard pushes without limit, so the limit is here. Taking on a request never waits.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)

type Work = Callable[[], Coroutine[Any, Any, None]]


class RequestDesk:
    """Runs pieces of work under a bound."""

    def __init__(self, *, at_once: int, waiting: int) -> None:
        """`at_once` pieces run together; up to `waiting` more are kept."""
        self._at_once = at_once
        self._most_waiting = waiting
        self._waiting: deque[Work] = deque()
        self._running: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        """How many pieces are worked on."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def take(self, work: Work) -> bool:
        """Start it now, or when there is room; False when too many wait already.

        What is started now runs until it first has to wait before this returns.
        """
        if len(self._running) < self._at_once:
            self._start(work)
            return True
        if len(self._waiting) < self._most_waiting:
            self._waiting.append(work)
            return True
        return False

    def _start(self, work: Work) -> None:
        # Eagerly: what need not wait for anything is done by then, without a turn of the loop.
        task = asyncio.Task(work(), loop=asyncio.get_running_loop(), eager_start=True)
        if task.done():
            _judge(task)
        else:
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        _judge(task)
        while self._waiting and len(self._running) < self._at_once:
            self._start(self._waiting.popleft())

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
