"""Waiting for a key of this service that another program has replaced by one of another type.

What needs such a key during a run waits until the key is gone or has its type again: neither the
vCon nor a plugin is at fault, so no attempt is used up.
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
"""Seconds between two looks at a key of another type."""
MOST_FLAPS = 5
"""How often an operation is repeated at once, since its key was usable when looked at."""
_waiting: Counter[str] = Counter()


async def waited_for(connection: RedisConnection, key: str) -> bool:
    """Wait until a key of ours is usable; False at once when it is, or is none of ours."""
    wanted = keys.own_type(key)
    if wanted is None or await _is_usable(connection, key, wanted):
        return False
    if not _waiting[key]:
        log.warning("runs wait for a key of another type", extra={"list": key})
    _waiting[key] += 1
    try:
        while not await _is_usable(connection, key, wanted):  # noqa: ASYNC110 -- Redis tells of no change
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        _waiting[key] -= 1
        if not _waiting[key]:
            del _waiting[key]
    return True


async def insist[T](connection: RedisConnection, operation: Callable[[], Awaitable[T]]) -> T:
    """Repeat an operation while Redis is away or a key of ours has another type.

    Raises:
        WrongTypeError: the key that has another type is none of ours.
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
