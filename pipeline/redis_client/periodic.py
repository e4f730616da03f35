"""Periodic work on Redis, and logging a lasting fault once instead of at each repetition."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from core.concurrency.aio import until_beat
from core.errors import UnavailableError, UnusableKeyError
from pipeline.redis_client.client import CommandRefused

log = logging.getLogger(__name__)

MOST = 1000
"""Texts that are remembered; after so many others, a text counts as new again."""


class Once:
    """Remembers which texts have been logged."""

    def __init__(self) -> None:
        self._seen: dict[str, None] = {}

    def first(self, text: str) -> bool:
        """Whether this text is new; it is remembered."""
        if text in self._seen:
            return False
        self._seen[text] = None
        if len(self._seen) > MOST:
            del self._seen[next(iter(self._seen))]
        return True


async def every(seconds: float, chore: Callable[[], Awaitable[None]]) -> None:
    """Do a chore now and every so many seconds, until cancelled; failures are only logged.

    Chores of one process are done together (`until_beat`).
    """
    logged = Once()
    while True:
        try:
            await chore()
            logged = Once()
        except UnavailableError as error:
            log.debug("housekeeping postponed", extra={"error": str(error)})
        except CommandRefused as error:  # such as a write when Redis has no memory left
            if logged.first(str(error)):
                log.warning("housekeeping refused by Redis", extra={"error": str(error)})
        except asyncio.CancelledError:
            raise
        except BaseException:
            log.exception("housekeeping failed")
        await asyncio.sleep(until_beat(seconds))


async def skip_unusable[**P](
    step: Callable[P, Awaitable[None]], *args: P.args, **options: P.kwargs
) -> None:
    """Take a step; a key of another type ends it without an error. `UnusableKeys` reports it.

    The step is called here: one that was called before is never awaited if this is cancelled
    before it has begun.
    """
    with contextlib.suppress(UnusableKeyError):
        await step(*args, **options)
