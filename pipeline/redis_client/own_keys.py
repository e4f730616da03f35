"""Waiting while a key of this service has another type, because another program has replaced it.

An operation of a run that needs such a key waits until the key is gone or has its type again. No
attempt is used up: neither the vCon nor a plugin is at fault.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.errors import WrongTypeError

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""Seconds between two checks of a key of another type."""
MOST_FLAPS = 5
"""Repetitions without a pause, when the key turned out to be usable at the check."""
_waiting: Counter[str] = Counter()


async def waited_for(connection: RedisConnection, key: str) -> bool:
    """Wait until a key of the service is usable; False at once if it is, or is another's."""
    wanted = keys.own_type(key)
    if wanted is None or await _is_usable(connection, key, wanted):
        return False
    if not _waiting[key]:
        log.warning("waiting for a key of another type", extra={"list": key})
    _waiting[key] += 1
    try:
        while not await _is_usable(connection, key, wanted):  # noqa: ASYNC110 -- Redis sends no event for it
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        _waiting[key] -= 1
        if not _waiting[key]:
            del _waiting[key]
    return True


async def insist[T](connection: RedisConnection, operation: Callable[[], Awaitable[T]]) -> T:
    """Repeat an operation while Redis is unavailable or a key of this service has another type.

    Raises:
        WrongTypeError: the key is not this service's, or was usable at `MOST_FLAPS` checks.
    """
    flaps = 0
    while True:
        try:
            return await connection.insist(operation)
        except WrongTypeError as error:
            if await waited_for(connection, error.key):
                continue
            flaps += 1
            if keys.own_type(error.key) is None or flaps > MOST_FLAPS:
                raise


async def _is_usable(connection: RedisConnection, key: str, wanted: str) -> bool:
    found = await connection.insist(lambda: connection.command("TYPE", key))
    return found in (wanted, "none")
