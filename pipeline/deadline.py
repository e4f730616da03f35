"""How much time is left for what runs now: a guest may rather give up than be cut off."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import Context, ContextVar

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


@asynccontextmanager
async def moving_limit(
    seconds: float, began: Callable[[], float]
) -> AsyncIterator[asyncio.Timeout]:
    """A time limit for each of several steps in one await; `began` says when the last one began.

    It is asked when a step that began with the first would be out of time, and not before, so that
    quick steps cost nothing. `remaining` does not tell of it.
    """
    limit, loop = asyncio.timeout(None), asyncio.get_running_loop()
    handle: asyncio.TimerHandle

    def look() -> None:
        nonlocal handle
        left = began() + seconds - time.perf_counter()
        if left <= 0:
            limit.reschedule(loop.time())
        else:
            handle = loop.call_later(left, look)

    handle = loop.call_later(seconds, look)
    try:
        async with limit:
            yield limit
    finally:
        handle.cancel()


def remaining() -> float:
    """Seconds until whoever called is cut off; infinite where nobody said."""
    return _deadline.get() - time.monotonic()


def remaining_in(context: Context) -> float:
    """The same for the code that runs in another context; may be asked from any thread."""
    return context.get(_deadline, math.inf) - time.monotonic()
