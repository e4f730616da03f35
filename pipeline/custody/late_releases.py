"""Runs that ended while Postgres was away: what they release is in their history in Redis."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import batched
from typing import Any

from core.concurrency.thread_pool import in_own_thread
from core.db.custody import NewCustody, Release
from core.db.settlements import FollowUps, SettledRun, Settlements
from core.errors import InvalidError
from pipeline.custody.keeper import Keeper
from pipeline.custody.rows import row_in_redis
from pipeline.custody.settling import added_to
from pipeline.redis_client.client import RedisConnection


class LateReleases:
    """Writes such runs, with what they release and the rows of what follows."""

    def __init__(
        self,
        connection: RedisConnection,
        settlements: Settlements,
        keeper: Keeper,
        sorted_set: str,
    ) -> None:
        """`sorted_set` holds all uuids by `created_at`."""
        self._connection = connection
        self._settlements = settlements
        self._keeper = keeper
        self._sorted_set = sorted_set

    async def write(self, runs: Sequence[Mapping[str, Any]]) -> None:
        """Write those of these runs that release something. May be repeated.

        Raises:
            UnavailableError: Postgres or Redis cannot be reached.
        """
        settled = [await self._settled(run, run["custody"]) for run in runs if run.get("custody")]
        if not settled:
            return
        for each, added in zip(settled, await self._written(settled), strict=True):
            await self._note(each, added)

    async def _settled(self, run: Mapping[str, Any], about: Mapping[str, Any]) -> SettledRun:
        releases = [
            Release(each["ref"], each["place"], each["outcome"], about["token"], each["keep"])
            for each in about["releases"]
        ]
        rows = [await self._row(run, each) for each in about["follow_ups"]]
        return SettledRun(run, about["token"], releases, [row for row in rows if row is not None])

    async def _row(self, run: Mapping[str, Any], about: Mapping[str, Any]) -> NewCustody | None:
        where = self._connection, self._sorted_set
        row = await row_in_redis(*where, about["vcon"], [about["place"]], state=about["state"])
        return None if row is None else replace(row, run_id=run["run_id"])

    async def _written(self, settled: Sequence[SettledRun]) -> Sequence[FollowUps]:
        """What was added; nothing for a run that Postgres cannot hold."""
        try:
            return await in_own_thread(self._settlements.write, settled)
        except InvalidError:
            if len(settled) == 1:
                return [{}]
            return [(await self._written([each]))[0] for each in settled]

    async def _note(self, settled: SettledRun, added: FollowUps) -> None:
        """Tell Redis, and release what another program has read meanwhile."""
        vcon_uuid = settled.run["vcon_in"]
        released = [(vcon_uuid, each.place, each.ref) for each in settled.releases]
        words = [word for row in (*released, *added_to(settled, added)) for word in row]
        over = await self._connection.script("change_rows", len(released), *words)
        ends = [Release(ref, place, "read") for _, place, ref in batched(over, 3)]
        await self._keeper.release(ends)
