"""Telling of a lasting fault once: what is looked at every few seconds must not fill the log."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from core.errors import UnavailableError
from pipeline.redis_client.client import CommandRefused

log = logging.getLogger(__name__)

MOST = 1000
"""Texts that are remembered; after so many others one is told again."""


class Once:
    """Remembers what has been told."""

    def __init__(self) -> None:
        """Nothing has been told yet."""
        self._told: dict[str, None] = {}

    def first(self, text: str) -> bool:
        """Whether this is told for the first time."""
        if text in self._told:
            return False
        self._told[text] = None
        if len(self._told) > MOST:
            del self._told[next(iter(self._told))]
        return True


async def every(seconds: float, chore: Callable[[], Awaitable[None]]) -> None:
    """Do a chore now and every so many seconds, until cancelled; a failure waits for the next."""
    told = Once()
    while True:
        try:
            await chore()
            told = Once()
        except UnavailableError as error:
            log.debug("housekeeping waits", extra={"error": str(error)})
        except CommandRefused as error:  # such as a write when Redis has no memory left
            if told.first(str(error)):
                log.warning("Redis refuses housekeeping", extra={"error": str(error)})
        except asyncio.CancelledError:
            raise
        except BaseException:
            log.exception("housekeeping failed")
        await asyncio.sleep(seconds)
