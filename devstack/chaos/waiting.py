"""Waiting for what other processes do: they offer no event, so they are asked again and again."""

import asyncio
import time
from collections.abc import Awaitable, Callable

POLL_SECONDS = 0.02
CEILING_SECONDS = 90.0


class ChaosError(Exception):
    """A scenario could not go on; the message says what it waited for in vain."""


async def until[T](
    look: Callable[[], Awaitable[T]], what: str, seconds: float = CEILING_SECONDS
) -> T:
    """The first thing seen that is true.

    Raises:
        ChaosError: nothing was, for so many seconds: far more than it should ever take.
    """
    deadline = time.monotonic() + seconds
    while True:
        seen = await look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            msg = f"waited {seconds:.0f} s for {what}"
            raise ChaosError(msg)
        await asyncio.sleep(POLL_SECONDS)
