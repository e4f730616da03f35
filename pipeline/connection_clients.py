"""The driver's clients as plugins get them, for commands of their own on our Redis."""

from typing import Any, override

import redis
import redis.asyncio
from redis.exceptions import RedisError

from core.errors import UnavailableError
from pipeline import keys
from pipeline.connection_errors import WrongTypeError, lacks_memory, named, translated
from pipeline.redis_failures import note


def note_failure(error: Exception, words: tuple[Any, ...]) -> None:
    """Our Redis has answered this command of the present call with this error."""
    known = translated(error)
    if isinstance(known, UnavailableError):
        note(no_memory=lacks_memory(error))
    elif isinstance(known, WrongTypeError):
        note_unusable(named(known, words))


def note_unusable(error: WrongTypeError) -> None:
    """A command of the present call met a key of another type; counted if the key is ours."""
    if keys.own_type(error.key) is not None:
        note(unusable=error.key)


class SyncClient(redis.Redis):
    """For threads."""

    @override
    def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as error:
            note_failure(error, args)
            raise


class AsyncClient(redis.asyncio.Redis):
    """For the event loop."""

    @override
    async def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as error:
            note_failure(error, args)
            raise
