"""The setting MEDIA_STORE of other replicas, as they write it about themselves (`pc:process:`)."""

import orjson

from pipeline.media.media import Media
from pipeline.media.rules import media_rule
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection

MOST = 100
"""Replicas that are looked at."""
_TOLD = ("seen", "media")


async def differing(connection: RedisConnection, media: Media) -> dict[str, str]:
    """Replicas with another setting than this process, and a text about each.

    Raises:
        UnavailableError: Redis cannot be reached.
    """
    ids = await connection.command("SRANDMEMBER", keys.PROCESSES, MOST)
    own, others = media_rule(media.rule), {}
    for replica in ids or ():
        seen, told = await connection.command("HMGET", keys.process(replica), *_TOLD)
        setting = orjson.loads(told) if told else "that of an earlier version"
        if seen and setting != own:
            others[replica] = f"MEDIA_STORE here: {own}; in replica {replica}: {setting}"
    return others
