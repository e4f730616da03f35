"""The driver's clients as plugins get them, for commands of their own on our Redis."""

from typing import Any, override

import redis
import redis.asyncio
from redis.exceptions import RedisError

from core.errors import UnavailableError
from pipeline.connection_errors import lacks_memory, translated
from pipeline.redis_failures import note


def note_failure(error: Exception) -> None:
    """Our Redis has answered a command of the present call with this."""
    if isinstance(translated(error), UnavailableError):
        note(no_memory=lacks_memory(error))


class SyncClient(redis.Redis):
    """For threads."""

    @override
    def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as error:
            note_failure(error)
            raise


class AsyncClient(redis.asyncio.Redis):
    """For the event loop."""

    @override
    async def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as error:
            note_failure(error)
            raise
