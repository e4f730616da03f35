"""A time limit of one await, as `asyncio.timeout`, at a third of its cost."""

import asyncio
from typing import Any, Self


class Limit:
    """Ends the block with `TimeoutError` after so many seconds; `expired` says that it did.

    A cancellation from outside at the same time takes precedence. None: no limit.
    """

    __slots__ = ("_before", "_handle", "_seconds", "_task", "expired")

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._handle: asyncio.TimerHandle | None = None
        self.expired = False

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._before = task, task.cancelling()
        if self._seconds is not None:
            self._handle = asyncio.get_running_loop().call_later(self._seconds, self._end)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: Any, trace: Any) -> None:
        if self._handle is not None:
            self._handle.cancel()
        is_ours = self.expired and self._task.uncancel() <= self._before
        if is_ours and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _end(self) -> None:
        self.expired = True
        self._task.cancel()
