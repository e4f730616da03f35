"""Time limits of many tasks with one timer between them."""

import asyncio
import math


class Limit:
    """How long one task may go on; `reached` once it was cancelled because of it."""

    __slots__ = ("cancelling", "due", "reached", "task")

    def __init__(self, task: "asyncio.Task[object]", due: float) -> None:
        """`due` is a time of the loop's clock."""
        self.task = task
        self.due = due
        self.cancelling = task.cancelling()
        self.reached = False


class Deadlines:
    """Cancels tasks that take too long.

    `asyncio.timeout` sets and cancels a timer each time, which costs more than a quick action.
    """

    def __init__(self) -> None:
        """Nothing is limited yet."""
        self._limits: set[Limit] = set()
        self._rings_at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, seconds: float) -> Limit:
        """Cancel the present task unless `end` is called within so many seconds."""
        task = asyncio.current_task()
        assert task is not None, "only tasks have time limits"
        due = asyncio.get_running_loop().time() + seconds
        limit = Limit(task, due)
        self._limits.add(limit)
        if due < self._rings_at:
            self._ring_at(due)
        return limit

    def end(self, limit: Limit) -> bool:
        """The task has done what was limited.

        Whether a `CancelledError` that it ended with is the limit's: its owner must then let it be.
        """
        self._limits.discard(limit)
        return limit.reached and limit.task.uncancel() <= limit.cancelling

    def _ring_at(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = due
        self._timer = asyncio.get_running_loop().call_at(due, self._ring)

    def _ring(self) -> None:
        self._rings_at, self._timer = math.inf, None
        now = asyncio.get_running_loop().time()
        for limit in [limit for limit in self._limits if limit.due <= now]:
            self._limits.discard(limit)
            limit.reached = True
            limit.task.cancel()
        if self._limits:
            self._ring_at(min(limit.due for limit in self._limits))
