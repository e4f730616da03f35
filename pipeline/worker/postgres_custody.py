"""Custody of a worker's claims: Postgres is told how a run ends before Redis is."""

import asyncio
import contextlib
from dataclasses import replace
from typing import Any

import orjson

from core.concurrency.thread_pool import BoundedCalls
from core.db.custody import Checkpoint, Custody, NewCustody, Release
from core.db.database import database
from core.db.settlements import SettledRun, Settlements, StaleGenerationError
from core.settings import Settings
from pipeline.custody.ended import RECORDED, Ended
from pipeline.custody.keeper import SECONDS, Keeper, PostgresKeeper
from pipeline.custody.kept_run import with_document_of
from pipeline.custody.rows import IN_REDIS, NEW_RUN, is_kept_as, row_in_redis
from pipeline.custody.settling import Settling, added_to, waiting
from pipeline.media import media
from pipeline.redis_client import keys
from pipeline.redis_client.client import CommandRefused, RedisConnection
from pipeline.runs import plan
from pipeline.runs.queues import Claim, Queues, Record, Settlement
from pipeline.runs.run_state import RunState
from pipeline.worker.custody import WorkerCustody
from schemas.run import MARKED

UNAPPROVED_SECONDS = 0.2
"""Seconds until an end is tried again while recovery has not approved Redis."""
THREADS, WAITING = 2, 8
"""Threads of a worker for calls to Postgres, and calls that may wait for them."""


class PostgresCustody:
    """Custody of the claims of one worker in Postgres."""

    def __init__(
        self,
        worker_id: str,
        connection: RedisConnection,
        queues: Queues,
        settling: Settling,
        sorted_set: str,
        *,
        at_claim: bool = True,
    ) -> None:
        """`sorted_set` holds all uuids by `created_at`. `at_claim`: CUSTODY_AT_CLAIM."""
        self._at_claim = at_claim
        self._id = worker_id
        self._connection = connection
        self._queues = queues
        self._settling = settling
        self._sorted_set = sorted_set

    def on_other_loop(self) -> WorkerCustody:
        """See `WorkerCustody`."""
        before = self._settling
        settling = Settling(before.settlements, before.calls, before.keeper)
        parts = self._id, self._connection, self._queues
        return PostgresCustody(*parts, settling, self._sorted_set)

    async def begin(self, live: RunState) -> None:
        """See `WorkerCustody`."""
        claim = live.claim
        if claim.refs or not self._at_claim or not is_kept_as(claim.vcon_uuid):
            return
        with contextlib.suppress(CommandRefused):  # a key of the vCon has another type
            ref = await self._connection.insist(lambda: self._taken(claim))
            live.claim = replace(claim, refs=ref)

    async def _taken(self, claim: Claim) -> str:
        place = place_of(claim)
        where = self._connection, self._sorted_set, claim.vcon_uuid
        row = await row_in_redis(*where, [place], state=NEW_RUN)
        if row is None or not (ref := await self._settling.take(row)):
            return ""
        await self._connection.script("change_rows", 0, claim.vcon_uuid, place, ref)
        return ref

    async def begun(self, live: RunState) -> bool:
        """See `WorkerCustody`."""
        if not live.claim.refs:
            return True
        live.is_noted = True  # perhaps, also if the attempt is broken off here
        return await self._note(live.claim, live.record(), marked=True)

    async def paused(self, live: RunState) -> None:
        """See `WorkerCustody`."""
        claim, record = live.claim, live.record("queued")
        moved_on = live.progress.links_done and record.vcon_uuid == claim.vcon_uuid
        if claim.refs and (moved_on or live.is_noted):
            await self._note(claim, record)

    async def _note(self, claim: Claim, record: Record, *, marked: bool = False) -> bool:
        """Note the checkpoint in the last row of the claim; False if Postgres is away."""
        row = await self._as_it_is(record, claim.vcon_uuid)
        if row is None:
            return True
        run = with_document_of(orjson.loads(record.journal), claim.vcon_uuid)
        if marked:  # for versions that ignore marks
            run["attempts"] += MARKED
        return await self._settling.note(Checkpoint(claim.refs.split()[-1], run, row.document))

    async def ended(self, live: RunState, ending: plan.Ending, end: Settlement) -> Ended | None:
        """See `WorkerCustody`."""
        while True:
            try:
                if (settled := await self._settled(live.claim, ending, end)) is None:
                    return None
                added = await self._settling(settled)
            except StaleGenerationError:  # Redis gets it in a moment, or is closed
                await asyncio.sleep(UNAPPROVED_SECONDS)
                continue
            if added is None:
                return Ended(waiting(settled))
            return Ended(RECORDED, _released(live.claim, end), added_to(settled, added))

    async def _settled(
        self, claim: Claim, ending: plan.Ending, end: Settlement
    ) -> SettledRun | None:
        """What is to be committed; None if the claim is lost.

        What follows is known to be a consequence of a claim only if Redis has the claim after it
        was asked for the document, in the generation that is committed with it.
        """
        run, generation = orjson.loads(end.record.journal), None
        follow_ups = await self._follow_ups(claim, end, run)
        if end.egress_lists or end.dead_letters:
            held, generation = await self._held(claim)
            if not held:
                return None
        keeps = not end.saved and not follow_ups
        releases = [
            Release(ref, place, ending, claim.token, keep_document=keeps)
            for _, place, refs in _released(claim, end)
            for ref in refs.split()
        ]
        return SettledRun(run, claim.token, releases, follow_ups, generation)

    async def _held(self, claim: Claim) -> tuple[bool, int]:
        """Whether Redis has the claim, and its generation; waits while it is not approved."""
        while True:
            held, generation = await self._queues.holds(self._id, claim)
            if generation or not held:
                return held, int(generation or 0)
            await asyncio.sleep(UNAPPROVED_SECONDS)

    async def _follow_ups(
        self, claim: Claim, end: Settlement, run: dict[str, Any]
    ) -> list[NewCustody]:
        """A row for each list that gets the vCon now."""
        wanted: dict[str, dict[str, dict[str, Any] | None]] = {}
        for name in end.egress_lists:
            wanted.setdefault(end.version or end.record.vcon_uuid, {})[name] = None
        for name, reason in end.dead_letters:
            is_after = name.startswith((keys.STORAGE_DEAD_LETTERS, keys.WITHHELD))
            vcon_uuid = end.record.vcon_uuid if is_after else claim.vcon_uuid
            state = {"reason": orjson.loads(reason), "run": with_document_of(run, vcon_uuid)}
            wanted.setdefault(vcon_uuid, {})[name] = state
        rows: list[NewCustody] = []
        for vcon_uuid, places in wanted.items():
            row = await self._as_it_is(end.record, vcon_uuid)
            if row is not None:
                row = replace(row, run_id=claim.run_id)
                rows += [replace(row, lists=[name], state=places[name]) for name in places]
        return rows

    async def _as_it_is(self, record: Record, vcon_uuid: str) -> NewCustody | None:
        """A vCon after the attempt: as it is in Redis, or as the script will write it."""
        row = await row_in_redis(self._connection, self._sorted_set, vcon_uuid, ())
        unwritten = record.document
        if row is None or not unwritten or vcon_uuid != record.vcon_uuid:
            return row
        kept = await media.installed(self._connection).for_keeping(vcon_uuid, unwritten)
        return replace(row, document=kept)


def _released(claim: Claim, end: Settlement) -> list[tuple[str, str, str]]:
    """What ends with the run: vCon, place and rows."""
    released = [(claim.vcon_uuid, place_of(claim), claim.refs)]
    if end.saved and end.record.vcon_uuid == claim.vcon_uuid:
        released.append((claim.vcon_uuid, IN_REDIS, claim.refs_in_redis))
    return [each for each in released if each[2]]


def place_of(claim: Claim) -> str:
    """The place that a claim is of; other programs put bare uuids into run lists, too."""
    if claim.list_name.startswith(keys.RUN_LIST) and "|" in claim.element:
        return f"{claim.list_name}|{claim.run_id}"
    return claim.list_name


class CustodyParts:
    """What a worker process needs for custody in Postgres."""

    def __init__(self, settings: Settings) -> None:
        """Connects to nothing."""
        database.initialize(settings)
        self._settings = settings
        self._calls = BoundedCalls("custody", threads=THREADS, waiting=WAITING, seconds=SECONDS)
        self._keeper: Keeper = PostgresKeeper(Custody(database), self._calls)

    def build(self, worker_id: str, connection: RedisConnection, queues: Queues) -> WorkerCustody:
        """The custody of a worker."""
        settling = Settling(Settlements(database), self._calls, self._keeper)
        how = {"at_claim": self._settings.custody_at_claim}
        sorted_set = self._settings.vcon_sorted_set_name
        return PostgresCustody(worker_id, connection, queues, settling, sorted_set, **how)

    def close(self) -> None:
        """End the threads and connections."""
        self._calls.close()
        self._keeper.close()
        database.close()
