"""The ends of runs in Postgres before they are in Redis, without blocking the event loop.

If Postgres does not answer, the run ends in Redis alone, as without custody; the element of the
history that waits there says what is to be released, see `pipeline.admin.run_archive`.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import orjson

from core.concurrency.group_commit import GroupCommit
from core.concurrency.thread_pool import BoundedCalls
from core.db.custody import Checkpoint, NewCustody
from core.db.settlements import FollowUps, SettledRun, Settlements
from core.errors import InvalidError, UnavailableError
from core.observability.metrics import CUSTODY_FALLBACKS
from pipeline.custody.keeper import AT_ONCE, MOST_BYTES, MOST_WAITING, SECONDS, Keeper

PAUSE = 5.0
"""Seconds without a try after Postgres has not answered."""


def waiting(settlement: SettledRun) -> str:
    """What the history in Redis gets while Postgres is away."""
    releases = [
        {
            "ref": each.ref,
            "place": each.place,
            "outcome": each.outcome,
            "keep": each.keep_document,
        }
        for each in settlement.releases
    ]
    places = [
        {"vcon": row.vcon_uuid, "place": place, "state": row.state}
        for row in settlement.follow_ups
        for place in row.lists
    ]
    about = {"token": settlement.token, "releases": releases, "follow_ups": places}
    return orjson.dumps(about).decode()


@dataclass(slots=True)
class Settling:
    """Commits the ends of the runs of one worker; those that wait share a transaction."""

    settlements: Settlements
    calls: BoundedCalls
    keeper: Keeper
    _commits: GroupCommit[SettledRun, FollowUps | None] = field(init=False)
    _away_until: float = 0.0

    def __post_init__(self) -> None:
        """`calls` carries the calls of `settlements`; `keeper` has its own."""
        self._commits = GroupCommit[SettledRun, FollowUps | None](
            self._write,
            seconds=SECONDS,
            at_once=AT_ONCE,
            most_waiting=MOST_WAITING,
            weight=_weight,
            most_weight=MOST_BYTES,
        )

    async def __call__(self, settlement: SettledRun) -> FollowUps | None:
        """The rows that were added; None if Postgres is away or cannot hold the values.

        It may have been written all the same.

        Raises:
            StaleGenerationError: recovery has approved another Redis; nothing was written.
        """
        return await self._unless_away(self._commits, settlement)

    async def take(self, row: NewCustody) -> str:
        """Take a vCon into custody; its ref, "" if Postgres is away."""
        if (ref := await self._unless_away(self.keeper.accept, row)) is None:
            CUSTODY_FALLBACKS.inc()
        return ref or ""

    async def note(self, checkpoint: Checkpoint) -> bool:
        """Note where a run continues, if Postgres answers; False if it does not."""
        return await self._unless_away(self._noted, checkpoint) or False

    async def _noted(self, checkpoint: Checkpoint) -> bool:
        await self.keeper.checkpoint(checkpoint)
        return True

    async def _unless_away[T, R](self, commit: Callable[[T], Awaitable[R]], item: T) -> R | None:
        if time.monotonic() < self._away_until:
            return None
        try:
            return await commit(item)
        except UnavailableError:
            self._away_until = time.monotonic() + PAUSE
            return None

    async def _write(self, batch: Sequence[SettledRun]) -> Sequence[FollowUps | None]:
        try:
            return await self.calls(self.settlements.write, batch)
        except InvalidError:
            return [await self._alone(each) for each in batch]

    async def _alone(self, settlement: SettledRun) -> FollowUps | None:
        try:
            [added] = await self.calls(self.settlements.write, [settlement])
        except InvalidError:
            return None
        return added


def _weight(settlement: SettledRun) -> int:
    return sum(len(row.document) for row in settlement.follow_ups)


def added_to(settlement: SettledRun, added: FollowUps) -> list[tuple[str, str, str]]:
    """The follow-ups that were added, as Redis gets them."""
    return [
        (row.vcon_uuid, place, ref)
        for row in settlement.follow_ups
        for place in row.lists
        if (ref := added.get((row.vcon_uuid.lower(), place)))
    ]
