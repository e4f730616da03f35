"""Places that end without a run: acknowledged, replayed, cancelled, taken out by other programs.

A place has ended when it no longer holds its vCon in Redis. Its rows are released then, and are
taken out of `pc:about` once Postgres has released them. A release that fails is made up for with
the next one of the same place, or by recovery.
"""

import contextlib
from collections.abc import Iterable, Sequence
from itertools import batched

from core.db.custody import Release
from core.errors import UnavailableError
from pipeline.custody.keeper import Keeper, NoKeeper
from pipeline.custody.rows import is_kept_as
from pipeline.redis_client.client import RedisConnection

AT_ONCE = 100
"""Places of one script call."""


class Places:
    """Releases places that have ended."""

    def __init__(self, connection: RedisConnection, keeper: Keeper | None = None) -> None:
        self._connection = connection
        self._keeper = keeper or NoKeeper()

    async def ended(self, places: Iterable[tuple[str, str]], outcome: str) -> None:
        """Release those of these pairs of vCon and place that have ended."""
        if not self._keeper.is_kept:
            return
        for some in batched(places, AT_ONCE):
            words = [word for place in some for word in place]
            found = await self._connection.script("ended_rows", *words)
            with contextlib.suppress(UnavailableError):
                await self._release([tuple(each) for each in batched(found, 3)], outcome)

    async def _release(self, rows: Sequence[tuple[str, ...]], outcome: str) -> None:
        if not rows:
            return
        releases = [Release(ref, place, outcome) for _, place, refs in rows for ref in refs.split()]
        await self._keeper.release(releases)
        words = [word for row in rows for word in row]
        await self._connection.script("change_rows", len(rows), *words)

    async def erase(self, vcon_uuid: str) -> None:
        """Release all places of a vCon that is about to be deleted, with its documents.

        Raises:
            UnavailableError: Postgres cannot be reached; nothing may be deleted.
        """
        if is_kept_as(vcon_uuid):
            await self._keeper.erase(vcon_uuid)
