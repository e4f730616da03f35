"""Carries erasures out, pass by pass; every service process does, one of them at a time for each.

A pass may end anywhere, and the next one repeats what has no result yet:

1. `requested`: tombstones and destinations are committed in Postgres, then Redis refuses the uuids.
   Each pass, and the last one before its end, does so for what was made of the vCons meanwhile.
2. Each vCon is taken out of Redis; a run that holds it is cancelled, and the next pass comes soon.
   Then what waits for Postgres is written, and texts of errors, salts and index entries go.
3. Each destination that is due is tried (`destinations.py`).
4. What the destinations say decides: a later pass, or the end with the statement.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import batched
from typing import Any, Final

from core.concurrency.thread_pool import BoundedCalls
from core.db.law.erasures import ErasureRows
from core.errors import UnusableKeyError
from pipeline.erasure.destinations import Destinations
from pipeline.erasure.egress_lists import EgressLists
from pipeline.erasure.later_vcons import LaterVcons
from pipeline.erasure.plan import REDIS, Plan
from pipeline.erasure.removal import Removal
from pipeline.erasure.states import Outlook, after_failure, now_in, outlook
from pipeline.erasure.tombstones import Tombstones
from pipeline.erasure.traces import Traces
from pipeline.media.stores import MediaAwayError
from pipeline.stored.index import StoredIndex
from pipeline.stored.lineage import made_from
from schemas.law.erasures import Erasure, ErasureTarget

ROUND_SECONDS: Final = 1.0
"""Seconds between two looks for erasures that are due."""
TAKEN_SECONDS: Final = 180.0
"""Seconds for which a process has an erasure to itself; each result renews them."""
BUSY_SECONDS: Final = 1.0
"""Seconds until a vCon that a run holds is tried again."""
MOST_DUE, AT_ONCE, BATCH = 20, 8, 50
MOST_LATER: Final = 5000
"""vCons that came while an erasure was held."""
MOST_MADE: Final = 5000
"""vCons made of others that one pass adds; the next one adds more."""

type Sign = Callable[[Erasure, datetime], Awaitable[str | None]]
"""The signed statement about an erasure that ends; None if there is no key to sign it."""

log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


class ErasureWork:
    """Carries erasures out."""

    def __init__(
        self,
        rows: ErasureRows,
        calls: BoundedCalls,
        plan: Plan,
        lists: EgressLists,
        index: StoredIndex,
        tombstones: Tombstones,
        removal: Removal,
        destinations: Destinations,
        traces: Traces,
        later: LaterVcons,
        drain: Callable[[], Awaitable[None]],
        sign: Sign,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        """`calls` carries `rows`; `drain` writes what waits for Postgres in Redis."""
        self._rows = rows
        self._calls = calls
        self._plan = plan
        self._lists = lists
        self._index = index
        self._tombstones = tombstones
        self._removal = removal
        self._destinations = destinations
        self._traces = traces
        self._later = later
        self._drain = drain
        self._sign = sign
        self._clock = clock

    async def round(self) -> None:
        """One pass of each erasure that is due.

        Raises:
            UnavailableError: Postgres or Redis cannot be reached.
        """
        for each in await self._calls(self._rows.due, MOST_DUE):
            await self.advance(each)

    async def advance(self, erasure_id: str) -> None:
        """One pass, if the erasure is due and no other process has it.

        Raises:
            UnavailableError: Postgres or Redis cannot be reached.
        """
        row = await self._calls(self._rows.take, erasure_id, TAKEN_SECONDS)
        if row is None:
            return
        erasure = await self._begun(Erasure.model_validate(row))
        if erasure is None:
            return
        await self._tombstones.lay(erasure.id, erasure.vcons)
        await self._traces.forget_party(erasure.progress.party)
        targets = await self._targets(erasure.id)
        if await self._take_out(erasure.id, [each for each in targets if each.kind == REDIS]):
            targets = await self._targets(erasure.id)  # a run that has ended may have added some
            await self._attempt(erasure.id, [each for each in targets if each.kind != REDIS])
        await self._conclude(erasure)

    async def _begun(self, erasure: Erasure) -> Erasure | None:
        """The erasure, with what was made of its vCons since its last pass; None if it is held."""
        if erasure.state == "requested":
            later = await self._later.of(erasure.progress.sought, MOST_LATER)
            known = dict.fromkeys([*erasure.vcons, *later[:MOST_LATER]])
            erasure = erasure.model_copy(update={"vcons": list(known)})
            noted = {"more": len(later) > MOST_LATER}
            return await self._begin(erasure, [*known, *await self._made(erasure)], noted)
        made = await self._made(erasure)
        return await self._begin(erasure, made, {}) if made else erasure

    async def _begin(
        self, erasure: Erasure, vcon_uuids: Sequence[str], noted: Mapping[str, Any]
    ) -> Erasure | None:
        """Postgres first: from its commit on, no new delivery of these vCons is recorded."""
        targets = await self._plan.places(vcon_uuids)
        if erasure.state == "requested":
            noted = {**noted, **await self._noted(vcon_uuids)}
        row = await self._calls.long(self._rows.begin, erasure.id, vcon_uuids, targets, noted)
        return None if row is None else Erasure.model_validate(row)

    async def _noted(self, vcon_uuids: Sequence[str]) -> dict[str, Any]:
        """What the statement has to say of how much is known."""
        unknown = await self._plan.unknown(vcon_uuids)
        known = [each for each in vcon_uuids if each not in unknown]
        return {"unknown": unknown, "history_from": await self._plan.history_from(known)}

    async def _made(self, erasure: Erasure) -> list[str]:
        """What links and egress made of the vCons and the erasure does not have yet.

        A run that was under way when the erasure was requested, or held, may have made more.
        """
        await self._drain()  # so that the index knows every run
        known, made = set(erasure.vcons), list[str]()
        for some in batched(erasure.vcons, BATCH):
            found = await asyncio.gather(*map(self._lists.versions_of, some))
            made += [version for versions in found for version in versions]
        most = len(known) + MOST_MADE
        made += await made_from([*erasure.vcons, *made], self._index, most)
        return [each for each in dict.fromkeys(made) if each not in known]

    async def _targets(self, erasure_id: str) -> list[ErasureTarget]:
        rows = await self._calls(self._rows.targets, erasure_id)
        return [ErasureTarget.model_validate(each) for each in rows]

    async def _take_out(self, erasure_id: str, targets: Sequence[ErasureTarget]) -> bool:
        """Take the vCons out of Redis, with their traces; whether all are out."""
        pending = [each for each in targets if each.state != "verified"]
        taken = await self._take_unread([each.vcon_uuid for each in pending])
        is_out = True
        for at in range(0, len(pending), BATCH):
            some = [await self._taken_out(each) for each in pending[at : at + BATCH]]
            gone = [each.vcon_uuid for each in some if each.state == "verified"]
            await self._note_last_runs(erasure_id, gone)
            await self._forget(gone)
            await self._save(erasure_id, some)
            is_out = is_out and len(gone) == len(some)
        if taken:
            await self._note_taken(erasure_id, taken)
        return is_out

    async def _take_unread(self, vcon_uuids: Sequence[str]) -> set[tuple[str, str]]:
        """Take vCons out of the egress lists that no reader has read; those that had all of it.

        Every run that has come to its end is in the history then, and no other one can: its uuid
        has a tombstone.
        """
        if not vcon_uuids:
            return set()
        await self._drain()
        unread = await self._plan.unread(vcon_uuids)
        return {at for at, given in unread.items() if await self._lists.take(*at) >= given}

    async def _note_taken(self, erasure_id: str, taken: Collection[tuple[str, str]]) -> None:
        """Save that those lists do not have the vCons any more, and that no reader has had them."""
        verified = [
            now_in(each, "verified")
            for each in await self._targets(erasure_id)
            if each.kind == "egress" and (each.vcon_uuid, each.name) in taken
        ]
        await self._save(erasure_id, verified)

    async def _note_last_runs(self, erasure_id: str, vcon_uuids: Sequence[str]) -> None:
        """Destinations of runs that were under way when the erasure began."""
        if vcon_uuids:
            await self._drain()
            places = await self._plan.given_out(vcon_uuids)
            await self._calls.long(self._rows.add, erasure_id, vcon_uuids, places)

    async def _taken_out(self, target: ErasureTarget) -> ErasureTarget:
        now = self._clock()
        try:
            is_out = await self._removal.remove(target.vcon_uuid)
        except (MediaAwayError, UnusableKeyError) as error:
            return after_failure(target, type(error).__name__, now)
        if is_out:
            return now_in(target, "verified")
        return now_in(target, "pending", due_at=now + timedelta(seconds=BUSY_SECONDS))

    async def _forget(self, vcon_uuids: Sequence[str]) -> None:
        """Forget what is kept beside the documents; once more after what the removal wrote."""
        if not vcon_uuids:
            return
        await self._traces.forget(vcon_uuids)
        await self._drain()
        await self._traces.forget(vcon_uuids)
        at = await self._removal.time()
        for each in vcon_uuids:
            await self._index.erase(each, at)

    async def _attempt(self, erasure_id: str, targets: Sequence[ErasureTarget]) -> None:
        now = self._clock()
        due = [each for each in targets if each.due_at is not None and each.due_at <= now]
        for at in range(0, len(due), AT_ONCE):
            some = due[at : at + AT_ONCE]
            attempts = (self._destinations.attempt(erasure_id, each, now) for each in some)
            await self._save(erasure_id, await asyncio.gather(*attempts))

    async def _save(self, erasure_id: str, targets: Sequence[ErasureTarget]) -> None:
        rows: list[dict[str, Any]] = [each.model_dump(mode="json") for each in targets]
        await self._calls(self._rows.save, erasure_id, rows, TAKEN_SECONDS)

    async def _conclude(self, erasure: Erasure) -> None:
        now, targets = self._clock(), await self._targets(erasure.id)
        view = outlook(targets, now)
        seen = erasure.updated_at
        if view.due_at is None and await self._made(erasure):  # by a run that has ended since
            view = Outlook("waiting", now)
        if view.due_at is not None:
            await self._calls(self._rows.change, erasure.id, view.state, view.due_at, seen)
            return
        await self._forget(erasure.vcons)  # what a late replica has written since
        ended = erasure.model_copy(update={"targets": targets, "ended_at": now})
        statement = await self._sign(ended.model_copy(update={"state": view.state}), now)
        if await self._calls(self._rows.end, erasure.id, view.state, statement, now, seen):
            about = {"count": len(erasure.vcons), "status": view.state}
            log.info("erasure ended", extra=about)
