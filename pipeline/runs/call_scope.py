"""What belongs to one call of a plugin, for `lib`: a dict that ends with the call.

Each call of a link or storage for one vCon gets an empty one. Threads and tasks that the plugin
starts by `asyncio` see the same. Outside of calls there is none.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import Context, ContextVar, Token
from typing import Any, Self

# How much time is left for what runs now: a plugin may rather give up than be cut off.

_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)


@asynccontextmanager
async def time_limit(seconds: float | None) -> AsyncIterator[asyncio.Timeout]:
    """What `asyncio.timeout` does, and `remaining` tells of it inside, also in threads."""
    ends = math.inf if seconds is None else time.monotonic() + seconds
    token = _deadline.set(min(ends, _deadline.get()))
    try:
        async with asyncio.timeout(seconds) as limit:
            yield limit
    finally:
        _deadline.reset(token)


class MovingLimit:
    """A time limit for each of several steps in one await; `began` says when the last one began.

    It is asked when a step that began with the first would be out of time, and not before, so that
    quick steps cost nothing. `remaining` does not tell of it, unless there is no `began`: then it
    is what `time_limit` is, and does it at a third of the cost.
    """

    __slots__ = ("_began", "_cancelling", "_expired", "_handle", "_seconds", "_task", "_token")

    def __init__(self, seconds: float, began: Callable[[], float] | None = None) -> None:
        """`began`: as `time.perf_counter` has it."""
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
        # As asyncio.timeout does: a cancellation from outside at the same time goes before.
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


def remaining() -> float:
    """Seconds until whoever called is cut off; infinite where nobody said."""
    return _deadline.get() - time.monotonic()


def remaining_in(context: Context) -> float:
    """The same for the code that runs in another context; may be asked from any thread."""
    return context.get(_deadline, math.inf) - time.monotonic()


type Scope = dict[Any, Any]

_scope: ContextVar[Scope | None] = ContextVar("step_scope", default=None)


def begin() -> None:
    """A call begins: from here on, in this context, the scope is a new one."""
    _scope.set({})


def kept[T](kind: type[T]) -> T:
    """The instance of `kind` of this call, made when it is first wanted; a new one outside."""
    scope = _scope.get()
    found: T = kind() if scope is None else scope.setdefault(kind, kind())
    return found
