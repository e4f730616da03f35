"""How much time is left for what runs now: a guest may rather give up than be cut off."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
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


def remaining() -> float:
    """Seconds until whoever called is cut off; infinite where nobody said."""
    return _deadline.get() - time.monotonic()


def remaining_in(context: Context) -> float:
    """The same for the code that runs in another context; may be asked from any thread."""
    return context.get(_deadline, math.inf) - time.monotonic()
