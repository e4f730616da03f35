"""Reports lists that hold ids and that no chain of any service reads.

A chain that is renamed or removed leaves its ingress list behind with what is queued there. Each
replica records in Redis which lists it reads, and when (`pc:lists`). A list that no replica has
recorded for three intervals is unread; one that this replica stops reading is unread at once. At
the start the whole keyspace is searched for lists that were never recorded.
"""

import asyncio
import logging
import math
import time
from collections.abc import Collection, Iterable, Sequence

from core.observability.metrics import UNREAD_DEPTH
from pipeline.config.lists import lists_of
from pipeline.config.parser import PipelineConfig
from pipeline.live_config import Configuration
from pipeline.redis_client import keys
from pipeline.redis_client.client import CommandRefused, RedisConnection
from schemas.uuids import canonical_uuid

log = logging.getLogger(__name__)

INTERVALS = 3
"""A list not recorded for so many intervals is unread."""
MOST = 100
"""Lists reported at most, the longest first."""
GLANCE_SECONDS = 5.0
"""Time limit of the search by `check`."""
CHUNK = 1000
"""Keys that one SCAN call examines."""


class UnreadLists:
    """Records the lists that this replica reads, and reports unread ones."""

    def __init__(
        self, connection: RedisConnection, configuration: Configuration, interval: float
    ) -> None:
        """`interval`: seconds from one `look` to the next."""
        self._connection = connection
        self._configuration = configuration
        self._seconds = INTERVALS * interval
        self._read: set[str] = set()
        self._reported: set[str] = set()
        self._searched = False

    async def look(self) -> None:
        """One round.

        Raises:
            UnavailableError: when Redis cannot be reached.
        """
        config = self._configuration.config
        await self._note(set(lists_of(config).ingress))
        if not self._searched:
            await self._note_unread(await never_noted(self._connection, config), "NX")
            self._searched = True
        self._report(await unread(self._connection, config, self._seconds))

    async def _note(self, reading: set[str]) -> None:
        if reading:
            scored = _scored(await _now(self._connection), reading)
            await self._connection.command("ZADD", keys.LISTS, *scored)
        await self._note_unread(self._read - reading)
        self._read = reading

    async def _note_unread(self, names: Collection[str], *options: str) -> None:
        if names:
            scored = _scored(await _now(self._connection) - self._seconds, names)
            await self._connection.command("ZADD", keys.LISTS, *options, *scored)

    def _report(self, depths: dict[str, int]) -> None:
        UNREAD_DEPTH.clear()
        for name, depth in depths.items():
            UNREAD_DEPTH.labels(name).set(depth)
            if name not in self._reported:
                log.warning(
                    "ids are left in a list that no chain reads",
                    extra={"list": name, "count": depth},
                )
        self._reported = set(depths)


async def unread_at_a_glance(connection: RedisConnection, config: PipelineConfig) -> dict[str, int]:
    """The same without a service that runs: lists of ids that the configuration does not name.

    In a Redis with so many keys that this takes over `GLANCE_SECONDS`, what was found until then.

    Raises:
        UnavailableError: when Redis cannot be reached.
    """
    return await _longest(connection, await never_noted(connection, config, GLANCE_SECONDS))


async def unread(
    connection: RedisConnection, config: PipelineConfig, seconds: float
) -> dict[str, int]:
    """How many ids are left in lists that no replica has read for so long, the longest first.

    Raises:
        UnavailableError: when Redis cannot be reached.
    """
    latest = await _now(connection) - seconds
    noted = await connection.command("ZRANGE", keys.LISTS, "-inf", latest, "BYSCORE")
    lists = lists_of(config)
    gone = [name for name in noted if name not in {*lists.ingress, *lists.egress}]
    return await _longest(connection, gone)


async def never_noted(
    connection: RedisConnection, config: PipelineConfig, seconds: float = math.inf
) -> list[str]:
    """Lists whose first element is a uuid, and which are none of the configuration's or ours.

    Raises:
        UnavailableError: when Redis cannot be reached.
    """
    known, cursor, found = set(lists_of(config).all), None, list[str]()
    end = time.monotonic() + seconds
    while cursor != "0" and time.monotonic() < end:
        scan = ("SCAN", cursor or "0", "COUNT", CHUNK, "TYPE", "list")
        cursor, names = await connection.command(*scan)
        others = [each for each in names if each not in known and not each.startswith(_OTHERS)]
        found += [name for name in others if await _holds_ids(connection, name)]
    return found


async def _holds_ids(connection: RedisConnection, name: str) -> bool:
    [first] = await connection.command("LRANGE", name, 0, 0) or [""]
    return name.startswith(keys.RUN_LIST) or canonical_uuid(first) is not None


async def _longest(connection: RedisConnection, names: Sequence[str]) -> dict[str, int]:
    depths = await asyncio.gather(*(_depth(connection, name) for name in names))
    longest = sorted(zip(depths, names, strict=True), reverse=True)[:MOST]
    return {name: depth for depth, name in longest if depth}


_OTHERS = tuple(prefix for prefix in keys.RESERVED_PREFIXES if prefix != keys.RUN_LIST)


async def _depth(connection: RedisConnection, name: str) -> int:
    total = 0
    for key in (name, keys.suspects(name)):
        try:
            total += int(await connection.command("LLEN", key))
        except CommandRefused:  # the key is no list; `UnusableKeys` reports it
            continue
    return total


async def _now(connection: RedisConnection) -> int:
    """Redis' own clock, the same for all replicas."""
    seconds, _ = await connection.command("TIME")
    return int(seconds)


def _scored(score: float, names: Iterable[str]) -> list[str | float]:
    return [part for name in sorted(names) for part in (score, name)]
