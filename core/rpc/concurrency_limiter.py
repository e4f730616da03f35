"""Bounds the requests that are in work: how many run, how many wait, and their memory."""

# Theory
# ------
# The Plugboard pushes requests without flow control, and the read loop must not wait for an action,
# or heartbeats and answers would stop. So a request is accepted or refused immediately, and this
# file is the only place that bounds what has been accepted:
#
#   running    tasks in work: at most `max_running` (MAX_CONCURRENCY)
#   waiting    accepted, not started: at most `max_waiting` (MAX_QUEUE), started in order of arrival
#   suspended  tasks that only wait for something outside this process, such as the end of a run.
#              They do not count as running, or a few of them would stop all others; but each holds
#              memory, so at most `max_suspended` may suspend, and further ones keep counting.
#   held_bytes memory of all three: at most `max_bytes` (MAX_REQUEST_MEMORY). A single request may
#              exceed it when nothing else is held, or it could never run.
#
# A suspended task that resumes does not wait for a free place, because its result is there and only
# its answer is missing. So `running` can exceed `max_running` by the tasks that have resumed; no
# waiting task starts until it is below the limit again.
#
# Time is not bounded here: `core.rpc.request_handler` cancels a task at its deadline.

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

log = logging.getLogger(__name__)

type Work = Callable[[], Coroutine[Any, Any, None]]

MAX_BYTES = 256 * 1024 * 1024
MAX_SUSPENDED = 1024


class ConcurrencyLimiter:
    """Runs coroutine functions as tasks within the limits; see the theory above."""

    def __init__(
        self,
        *,
        max_running: int,
        max_waiting: int,
        max_bytes: int = MAX_BYTES,
        max_suspended: int = MAX_SUSPENDED,
    ) -> None:
        self._max_running = max_running
        self._max_waiting = max_waiting
        self._max_bytes = max_bytes
        self._max_suspended = max_suspended
        self._waiting: deque[tuple[Work, int]] = deque()
        self._tasks: dict[asyncio.Task[None], int] = {}  # running and suspended, with their bytes
        self._running = self._suspended = self._held = 0

    @property
    def running(self) -> int:
        """Tasks in work, without the suspended ones."""
        return self._running

    @property
    def suspended(self) -> int:
        """Tasks between `suspend` and `resume`."""
        return self._suspended

    @property
    def waiting(self) -> int:
        """Accepted and not started."""
        return len(self._waiting)

    @property
    def held_bytes(self) -> int:
        """Memory of all that run, wait or are suspended."""
        return self._held

    def submit(self, work: Work, size: int = 0) -> bool:
        """Start the work or queue it; False if a limit is reached. Never waits.

        `size` is the memory in bytes that the work holds until it has ended. Work that is started
        here runs until its first suspension before this returns, so it may have ended by then.
        """
        if self._held and self._held + size > self._max_bytes:
            return False
        if self._running < self._max_running:
            self._held += size
            self._start(work, size)
            return True
        if len(self._waiting) < self._max_waiting:
            self._held += size
            self._waiting.append((work, size))
            return True
        return False

    def _start(self, work: Work, size: int) -> None:
        self._running += 1
        task = asyncio.Task(work(), loop=asyncio.get_running_loop(), eager_start=True)
        if task.done():
            self._running -= 1
            self._held -= size
            _log_failure(task)
        else:
            self._tasks[task] = size
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._held -= self._tasks.pop(task)
        self._running -= 1
        _log_failure(task)
        self._start_waiting()

    def _start_waiting(self) -> None:
        while self._waiting and self._running < self._max_running:
            self._start(*self._waiting.popleft())

    def suspend(self) -> bool:
        """Stop counting the current task as running, until `resume`.

        False, and no `resume` must follow, if `max_suspended` tasks are suspended already.
        """
        if self._suspended >= self._max_suspended:
            return False
        self._suspended += 1
        self._running -= 1
        # An empty context: the work that starts must not inherit the variables of this task.
        asyncio.get_running_loop().call_soon(self._start_waiting, context=Context())
        return True

    def resume(self) -> None:
        """Count the current task as running again, even if the limit is exceeded."""
        self._suspended -= 1
        self._running += 1

    async def wait_until_idle(self) -> None:
        """Return when nothing runs, waits or is suspended."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def cancel_all(self) -> None:
        """Cancel all tasks and discard the waiting work."""
        self._held -= sum(size for _, size in self._waiting)
        self._waiting.clear()
        for task in self._tasks:
            task.cancel()


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("request task failed", exc_info=error)
