"""Custody of replays: the row of the new run is committed before Redis queues it.

The row names the dead letters that it is of. They are released once Redis has queued the run; a
recovery before that does not put them back beside it.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

import orjson

from core.errors import UnavailableError
from pipeline.custody.carrying_out import CarryingOut
from pipeline.custody.keeper import Keeper, NoKeeper
from pipeline.custody.kept_run import with_document_of
from pipeline.custody.places import Places
from pipeline.custody.rows import is_kept_as, place_of, row_in_redis
from pipeline.redis_client.client import RedisConnection


class Replayed(Protocol):
    """What a replay queues, and the dead-letter lists that it serves."""

    @property
    def vcon_uuid(self) -> str:
        """The vCon of the new run."""
        ...

    @property
    def list_name(self) -> str:
        """Where it is queued."""
        ...

    @property
    def run_id(self) -> str:
        """The new run."""
        ...

    @property
    def checkpoint(self) -> bytes:
        """From which it goes on."""
        ...

    @property
    def places(self) -> Sequence[tuple[str, str]]:
        """The dead letters: vCon and list."""
        ...


class ReplayRows:
    """Takes replays into custody, and releases the dead letters that they are of."""

    def __init__(
        self, connection: RedisConnection, sorted_set: str = "vcons", keeper: Keeper | None = None
    ) -> None:
        """`sorted_set` holds all uuids by `created_at`."""
        self._connection = connection
        self._sorted_set = sorted_set
        self._keeper = keeper or NoKeeper()
        self._places = Places(connection, self._keeper)
        self._carrying_out = CarryingOut(connection, self._keeper)

    async def accept(self, replays: Sequence[Replayed]) -> dict[str, str]:
        """Commit a row for each; the refs by run, nothing without custody.

        Raises:
            UnavailableError: Postgres cannot be reached.
        """
        if not self._keeper.is_kept:
            return {}
        refs = await asyncio.gather(*map(self._accepted, replays))
        return {each.run_id: ref for each, ref in zip(replays, refs, strict=True)}

    async def _accepted(self, replay: Replayed) -> str:
        vcon_uuid, run = replay.vcon_uuid, orjson.loads(replay.checkpoint)
        if not is_kept_as(vcon_uuid):
            return ""
        run = with_document_of(run, vcon_uuid)  # custody has only the vCon that is queued
        letters = [name for _, name in replay.places]
        run["replays"] = {"letters": letters, "list_name": replay.list_name}
        places = [place_of(replay.list_name, replay.run_id)]
        about: dict[str, Any] = {"run_id": replay.run_id, "state": run}
        row = await row_in_redis(self._connection, self._sorted_set, vcon_uuid, places, **about)
        return "" if row is None else await self._keeper.accept(row)

    async def queued(
        self, replays: Sequence[Replayed], refs: dict[str, str], reply: Sequence[str]
    ) -> list[str]:
        """Delete the rows of what Redis has refused, and release the dead letters of the others.

        Raises:
            UnavailableError: Redis is being recovered; nothing was queued.
        """
        unapproved = list(reply) in (["unapproved"], ["generation"])
        runs = [] if unapproved else list(reply)
        refused = [each for each in replays if each.run_id not in runs]
        await self._carrying_out.drop(
            [(each.vcon_uuid, refs.get(each.run_id, "")) for each in refused]
        )
        if unapproved:
            raise UnavailableError("Redis is being recovered; try again later", 2)
        over = [place for each in replays if each.run_id in runs for place in each.places]
        await self._places.ended(over, "replayed")
        return runs
