"""What `status` tells of Redis: memory, settings, writes to its disk, keys of another type."""

import asyncio
from collections.abc import Mapping

from pipeline.admin.redis_checks import has_json, losses
from pipeline.redis_client import keys
from pipeline.redis_client.client import CommandRefused, RedisConnection
from pipeline.redis_client.list_states import RedisState
from schemas.operator.status import RedisStatus

SECTIONS = ("server", "memory", "persistence")
MOST_UNUSABLE = 20
FAILED_WRITES = {
    "aof_last_write_status": "its append-only file",
    "aof_last_bgrewrite_status": "a new append-only file",
    "rdb_last_bgsave_status": "a snapshot",
}
"""Fields of INFO that are `ok` unless Redis could not write to its disk."""
CLOSED = "no vCon is claimed: Redis is being recovered, or was replaced by another one"


async def redis_status(connection: RedisConnection, state: RedisState) -> RedisStatus:
    """Redis as it is now; `state` has the keys of another type.

    Raises:
        UnavailableError: Redis cannot be reached.
    """
    info, json, unsafe, closed = await asyncio.gather(
        _info(connection), has_json(connection), losses(connection), _closed(connection)
    )
    warnings = [
        *closed,
        *(
            f"Redis cannot write {what}: {info[name]}; look at its disk and its log"
            for name, what in FAILED_WRITES.items()
            if info.get(name, "ok") != "ok"
        ),
    ]
    warnings += [
        f"Redis may lose vCons: its {name} is {value}, set it to {safe}"
        for name, value, safe in unsafe
    ]
    unusable = sorted(state.unusable.items())[:MOST_UNUSABLE]
    return RedisStatus(
        version=info.get("valkey_version") or info.get("redis_version", ""),
        used_bytes=_whole(info.get("used_memory")),
        most_bytes=_whole(info.get("maxmemory")),
        has_json=json,
        warnings=warnings,
        unusable=dict(unusable),
    )


async def _closed(connection: RedisConnection) -> list[str]:
    """That this Redis is closed for claims, if it is."""
    try:
        words = keys.EPOCH, "generation", "recovering", "server"
        generation, recovering, server = await connection.command("HMGET", *words)
    except CommandRefused:
        return []
    return [CLOSED] if (generation or recovering) and not server else []


async def _info(connection: RedisConnection) -> Mapping[str, str]:
    """The fields of INFO; empty where the user may not ask."""
    try:
        text = str(await connection.command("INFO", *SECTIONS))
    except CommandRefused:
        return {}
    pairs = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: value.strip() for name, _, value in pairs}


def _whole(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0
