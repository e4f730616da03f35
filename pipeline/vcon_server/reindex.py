"""Rebuilding the index of the vCons in Redis: the sorted set, and the search sets of parties."""

import asyncio

from pipeline.admin.index_members import index_members
from pipeline.ingest.entry import TermLimits, indexed
from pipeline.redis_client import keys
from pipeline.redis_client.client import CommandRefused, RedisConnection
from pipeline.redis_client.errors import WrongTypeError
from pipeline.redis_client.slices import chunks
from schemas.uuids import canonical_uuid

SCANNED = 500
"""Keys of Redis that one `SCAN` looks at."""
INDEXED = 50
"""vCons that are indexed at once; Redis carries out what is sent at once without a pause."""
ATTEMPTS = 5
"""Reads of one document that changes meanwhile."""


class Reindex:
    """Reads every document `vcon:UUID`, of this service and of others, and indexes it again."""

    def __init__(self, connection: RedisConnection, sorted_set: str, terms: TermLimits) -> None:
        """`sorted_set`: the index by time. `terms`: those of one vCon that are indexed at most."""
        self._connection = connection
        self._sorted_set = sorted_set
        self._terms = terms
        self._task: asyncio.Task[int] | None = None

    async def run(self) -> int:
        """Index all; returns the number of vCons. Keys that are no vCon are passed over.

        While Redis resizes its table, `SCAN` may return a vCon twice, which then counts twice.
        Callers that come while it is at work wait for the same result.

        Raises:
            UnusableKeyError: the sorted set has another type.
        """
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._all())
        return await asyncio.shield(self._task)

    async def _all(self) -> int:
        count, cursor = 0, "0"
        while True:
            cursor, found = await self._connection.command(
                "SCAN", cursor, "MATCH", keys.vcon("*"), "COUNT", SCANNED
            )
            uuids = list({key.removeprefix(keys.vcon("")) for key in found})
            for some in chunks(uuids, INDEXED):
                count += sum(await asyncio.gather(*map(self._index, some)))
            if cursor == "0":
                return count

    async def _index(self, vcon_uuid: str) -> bool:
        if canonical_uuid(vcon_uuid) != vcon_uuid:
            return False
        for _ in range(ATTEMPTS):
            try:
                if await self._try(vcon_uuid):
                    return True
            except WrongTypeError as error:
                if error.key == self._sorted_set:
                    raise
                return False
            except (CommandRefused, ValueError):
                return False
        return False

    async def _try(self, vcon_uuid: str) -> bool:
        members = await index_members(self._connection, vcon_uuid)
        if members is None:
            return False
        kept, _ = indexed(members.terms, self._terms)
        read = members.read
        words = (vcon_uuid, self._sorted_set, repr(members.score), len(read) // 2, *read, *kept)
        return bool(await self._connection.script("reindex", *words))
