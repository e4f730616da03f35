"""The vCons of a person that came while an erasure was held, by the hashes that it keeps.

The index in Postgres has those that a run has ended for. Others are in Redis alone: its search keys
have values as vCons write them, so all keys of the field are read and hashed.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Final
from uuid import UUID

from core.concurrency.thread_pool import in_own_thread
from pipeline.admin.vcon_index import VconIndex
from pipeline.redis_client.client import RedisConnection
from pipeline.stored.index import StoredIndex
from pipeline.stored.term_keys import fields_of, meaning
from schemas.uuids import canonical_uuid

PAGE: Final = 500
SLICE: Final = 1000
"""Keys that one call looks at."""


class LaterVcons:
    """Finds them. Every method raises UnavailableError without Redis or Postgres."""

    def __init__(
        self, connection: RedisConnection, index: StoredIndex, in_redis: VconIndex
    ) -> None:
        self._connection = connection
        self._index = index
        self._in_redis = in_redis

    async def of(self, sought: Collection[str], most: int) -> list[str]:
        """The vCons that have one of these terms now; little more than `most`.

        `sought`: of one value, as `StoredIndex.sought` gives it.
        """
        if not sought:
            return []
        found = dict.fromkeys(await self._indexed(sought, most))
        for key in await self._keys(sought):
            cursor: str | None = None
            while len(found) <= most:
                page = await self._in_redis.search([key], PAGE, cursor)
                found |= dict.fromkeys(filter(None, map(canonical_uuid, page.vcon_uuids)))
                cursor = page.cursor
                if cursor is None:
                    break
        return list(found)

    async def _indexed(self, sought: Collection[str], most: int) -> list[str]:
        found: list[str] = []
        after: tuple[datetime, UUID] | None = None
        while len(found) <= most:
            page = await self._index.with_terms(sought, PAGE, after)
            found += [each.uuid for each in page]
            if len(page) < PAGE:
                break
            after = page[-1].created_at, UUID(page[-1].uuid)
        return found

    async def _keys(self, sought: Collection[str]) -> list[str]:
        """The search keys of Redis that mean one of these terms."""
        secrets = await self._index.keys()
        found: list[str] = []
        for field in fields_of(sought):
            cursor = "0"
            while True:
                words = ("MATCH", f"{field}:*", "COUNT", SLICE, "TYPE", "set")
                cursor, keys = await self._connection.command("SCAN", cursor, *words)
                named = secrets, self._index.region, sought
                found += await in_own_thread(meaning, keys, *named) if keys else []
                if str(cursor) == "0":
                    break
        return list(dict.fromkeys(found))
