"""The driver's clients for plugins: they count failures, and follow a primary that moves."""

import time
from typing import Any, override

import redis
import redis.asyncio
from redis.exceptions import RedisError

from core.errors import UnavailableError
from pipeline.redis_client import keys
from pipeline.redis_client.driver.connections import OpenConnections
from pipeline.redis_client.driver.repeatable import REFUSED, is_idempotent
from pipeline.redis_client.errors import (
    WrongTypeError,
    lacks_memory,
    named,
    note,
    translated,
)

SOON = 1.0
"""A command that failed after more seconds than this is not repeated."""


def note_failure(error: Exception, words: tuple[Any, ...]) -> None:
    """Count the error of a command for the plugin call that gave it."""
    known = translated(error)
    if isinstance(known, UnavailableError):
        note(no_memory=lacks_memory(error))
    elif isinstance(known, WrongTypeError):
        note_unusable(named(known, words))


def note_unusable(error: WrongTypeError) -> None:
    """Count a key of another type for the current plugin call, if the key is this service's."""
    if keys.own_type(error.key) is not None:
        note(unusable=error.key)


class _Attempt:
    """The first attempt at a command: what to do about its error."""

    def __init__(self, pool: Any, words: tuple[Any, ...]) -> None:
        self._connections: OpenConnections = pool.connection_kwargs["open_connections"]
        self._generation = self._connections.generation
        self._words = words
        self._begun = time.monotonic()

    def may_repeat(self, error: Exception) -> bool:
        """Whether to send the command again; if so, over a new connection."""
        is_refused = isinstance(error, REFUSED)
        is_lost = isinstance(error, redis.ConnectionError) and is_idempotent(self._words)
        if not (is_refused or (is_lost and time.monotonic() - self._begun < SOON)):
            return False
        self._connections.leave(self._generation)
        return True


class SyncClient(redis.Redis):
    """The driver's client for plugins in threads."""

    @override
    def execute_command(self, *args: Any, **options: Any) -> Any:
        attempt = _Attempt(self.connection_pool, args)
        try:
            try:
                return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
            except (RedisError, OSError) as error:
                if not attempt.may_repeat(error):
                    raise
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as error:
            note_failure(error, args)
            raise


class AsyncClient(redis.asyncio.Redis):
    """The driver's client for plugins on the event loop."""

    @override
    async def execute_command(self, *args: Any, **options: Any) -> Any:
        attempt = _Attempt(self.connection_pool, args)
        try:
            try:
                return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
            except (RedisError, OSError) as error:
                if not attempt.may_repeat(error):
                    raise
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as error:
            note_failure(error, args)
            raise
