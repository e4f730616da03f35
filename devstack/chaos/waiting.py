"""Polling of other processes, which provide no events."""

import asyncio
import time
from collections.abc import Awaitable, Callable

POLL_SECONDS = 0.02
CEILING_SECONDS = 90.0


class ChaosError(Exception):
    """A scenario cannot continue; the message names the condition that was not met."""


async def until[T](
    look: Callable[[], Awaitable[T]], what: str, seconds: float = CEILING_SECONDS
) -> T:
    """Poll until the result is truthy, and return it.

    Raises:
        ChaosError: after `seconds`, which is far more than it should take.
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
