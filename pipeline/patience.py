"""Repeating what only an outage of Redis has stopped, and telling of that outage once."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from core.errors import UnavailableError

log = logging.getLogger(__name__)

_PAUSE_MIN, _PAUSE_MAX = 0.1, 5.0


class Patience:
    """One process's waiting for Redis: one log line when it goes, one when it is back."""

    def __init__(self) -> None:
        """Redis counts as there until an operation says otherwise."""
        self._away = False

    async def insist[T](self, operation: Callable[[], Awaitable[T]]) -> T:
        """Repeat the operation for as long as it raises UnavailableError; what it returns."""
        pause = _PAUSE_MIN
        while True:
            try:
                result = await operation()
            except UnavailableError as error:
                self._note_away(str(error))
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 -- spreads reconnects, guards nothing
                pause = min(pause * 2, _PAUSE_MAX)
            else:
                self._note_back()
                return result

    def _note_away(self, why: str) -> None:
        if not self._away:
            log.warning("Redis is away; waiting for it", extra={"cause": why})
        self._away = True

    def _note_back(self) -> None:
        if self._away:
            log.warning("Redis is back")
        self._away = False
