"""Objects and time limits that belong to one call of a plugin.

Each call of a link or storage for one vCon has an empty scope (a dict) for `lib`. Threads and tasks
that the plugin starts by `asyncio` share it. Outside of calls there is none.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from contextvars import Context, ContextVar, Token
from typing import Any, Self

_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)


class MovingLimit:
    """A time limit for each of several steps in one await; `began()` is the last step's start.

    `began` is called only when a step that started with the block would be out of time, so quick
    steps cost nothing. `remaining` takes the limit into account without `began` only.
    """

    __slots__ = ("_began", "_cancelling", "_expired", "_handle", "_seconds", "_task", "_token")

    def __init__(self, seconds: float, began: Callable[[], float] | None = None) -> None:
        """`began` returns a time of `time.perf_counter`."""
        self._seconds, self._began, self._expired = seconds, began, False

    def expired(self) -> bool:
        """Whether it was this limit that ended the block."""
        return self._expired

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancelling = task, task.cancelling()
        self._token: Token[float] | None = None
        if self._began is None:
            ends = time.monotonic() + self._seconds
            self._token = _deadline.set(min(ends, _deadline.get()))
        self._handle = asyncio.get_running_loop().call_later(self._seconds, self._look)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: Any, trace: Any) -> None:
        self._handle.cancel()
        if self._token is not None:
            _deadline.reset(self._token)
        # as asyncio.timeout: a cancellation from outside at the same time takes precedence
        is_ours = self._expired and self._task.uncancel() <= self._cancelling
        if is_ours and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _look(self) -> None:
        began = -math.inf if self._began is None else self._began()
        left = began + self._seconds - time.perf_counter()
        if left > 0:
            self._handle = asyncio.get_running_loop().call_later(left, self._look)
        else:
            self._expired = True
            self._task.cancel()


def time_limit(seconds: float | None) -> AbstractAsyncContextManager[MovingLimit | None]:
    """A limit that `remaining` takes into account; `asyncio.timeout` at a third of its cost."""
    return nullcontext() if seconds is None else MovingLimit(seconds)


def limit_context(seconds: float | None, outer: float | None = None) -> None:
    """Let `remaining` end after so many seconds in the rest of this context.

    `outer` is a time of `time.monotonic` at which it ends at the latest; None: where it ends now.
    """
    ends = math.inf if seconds is None else time.monotonic() + seconds
    _deadline.set(min(ends, _deadline.get() if outer is None else outer))


def remaining() -> float:
    """Seconds until the caller's time limit; infinite without one."""
    return _deadline.get() - time.monotonic()


def remaining_in(context: Context) -> float:
    """`remaining` for code in another context; may be called from any thread."""
    return context.get(_deadline, math.inf) - time.monotonic()


repeating: ContextVar[Callable[[], Awaitable[None]] | None] = ContextVar("repeating", default=None)
"""Awaited before a plugin's request is repeated within one call, if its destination has a rate."""

type Scope = dict[Any, Any]

_scope: ContextVar[Scope | None] = ContextVar("step_scope", default=None)


def begin() -> None:
    """Start a new scope in the current context."""
    _scope.set({})


def kept[T](kind: type[T]) -> T:
    """The call's instance of `kind`, made at first use; a new one outside of calls."""
    scope = _scope.get()
    found: T = kind() if scope is None else scope.setdefault(kind, kind())
    return found
