"""Reading Redis for operators: other programs' keys of another type are as good as missing."""

from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.errors import WrongTypeError


async def redis_now(redis: RedisConnection) -> datetime:
    """The time by Redis' clock."""
    seconds, microseconds = await redis.command("TIME")
    return datetime.fromtimestamp(int(seconds) + int(microseconds) / 1e6, UTC)


async def readable[T](reading: Awaitable[T], otherwise: T) -> T:
    """The reply, or `otherwise` if another program's key of another type has that name."""
    try:
        return await reading
    except WrongTypeError:
        return otherwise


def scored(reply: Sequence[Any]) -> list[tuple[str, float]]:
    """Members and scores of a reply WITHSCORES, flat or in pairs."""
    if reply and isinstance(reply[0], list | tuple):
        return [(str(member), float(score)) for member, score in reply]
    return [(str(member), float(score)) for member, score in zip(*[iter(reply)] * 2, strict=True)]


def parsed(text: str | bytes | None) -> dict[str, Any]:
    """A JSON object; empty if there is none or it is no object."""
    try:
        found = orjson.loads(text) if text else {}
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
