"""Tombstones in Redis: what Postgres has of them, in order, so that scripts can refuse their uuids.

Postgres has a tombstone first, and keeps it without end. Redis is told by the erasure itself, and
by `Tombstones.keep`, which each service process calls every two seconds: `pc:tombstones` is the
number of the last that Redis has been told of in order. If Redis has lost data, was restored from a
file, or was filled from a backup, that number is behind or missing, and all after it are laid
again; what this Redis has of their vCons is removed. With custody in Postgres, a recovery lays them
before any vCon is claimed.
"""

from collections.abc import Awaitable, Callable, Sequence

from core.concurrency.thread_pool import BoundedCalls
from core.db.law.erasures import ErasureRows, Tombstone
from core.errors import UnusableKeyError
from pipeline.media.stores import MediaAwayError
from pipeline.recovery.recovery import Slice, Under
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection

PAGE = 500
"""Tombstones of one script."""
KEEP_SECONDS = 2.0
"""Seconds between two comparisons with Postgres."""


class Tombstones:
    """Lays tombstones in Redis."""

    def __init__(
        self,
        connection: RedisConnection,
        rows: ErasureRows,
        calls: BoundedCalls,
        remove: Callable[[str], Awaitable[bool]],
    ) -> None:
        """`remove`: that of `Removal`. `calls` carries `rows`."""
        self._connection = connection
        self._rows = rows
        self._calls = calls
        self._remove = remove

    async def lay(self, erasure: str, vcon_uuids: Sequence[str]) -> None:
        """Refuse these uuids from now on.

        Raises:
            UnavailableError: Redis cannot be reached.
            WrongTypeError: another program has a key in the place of a tombstone.
        """
        for at in range(0, len(vcon_uuids), PAGE):
            some = [Tombstone(0, each, erasure) for each in vcon_uuids[at : at + PAGE]]
            await self._lay(some)

    async def keep(self) -> None:
        """Tell Redis of those that it does not know, and remove their vCons from it.

        Raises:
            UnavailableError: Postgres or Redis cannot be reached.
        """
        after, is_all = await self._known(), True
        while rows := await self._calls(self._rows.tombstones, after, PAGE):
            found = await self._lay(rows)
            removed = [await self._removed(each) for each in found]
            after, is_all = rows[-1].number, is_all and all(removed)
            if is_all:  # else those are tried again the next time
                await self._lay((), str(after))

    async def _removed(self, vcon_uuid: str) -> bool:
        try:
            return await self._remove(vcon_uuid)
        except (MediaAwayError, UnusableKeyError):
            return False

    async def recover(self, under: Under) -> Slice:
        """A page of them, in a recovery; what Redis has of their vCons is removed after it."""
        after = under.state["cursor"] or 0
        rows = await self._calls(self._rows.tombstones, after, PAGE)
        await self._lay(rows)
        counts = {"tombstones": len(rows)} if rows else {}
        return Slice(rows[-1].number if len(rows) == PAGE else None, counts)

    async def _known(self) -> int:
        """The number up to which Redis has them; 0 if it has another history than Postgres."""
        latest = await self._calls(self._rows.latest_tombstone)
        told = await self._connection.command("GET", keys.TOMBSTONES) if latest else None
        known = int(told) if told and told.isdigit() else 0
        return known if known <= latest else 0

    async def _lay(self, rows: Sequence[Tombstone], number: str = "") -> list[str]:
        words = [word for each in rows for word in (each.vcon_uuid, each.erasure)]
        found: list[str] = await self._connection.script("lay_tombstones", number, *words)
        return found
