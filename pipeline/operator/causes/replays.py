"""Replaying dead letters by cause: begin, watch, stop."""

import asyncio
import logging
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from core.errors import BusyError
from core.observability.failure_cause import UNKNOWN, cause_of
from core.operator_interfaces import Call, Operation
from pipeline.admin.causes import ListCauses
from pipeline.admin.dead_letters import DeadLetters
from pipeline.operator.parts import Parts
from pipeline.operator.row import Row, about
from pipeline.replays.ends import Ends
from pipeline.replays.feed import Feed, Source, Window
from pipeline.replays.records import ReplayRecords
from pipeline.replays.replay import Cause, ReplayRun
from pipeline.replays.table import CauseTable, matching, rows_of
from schemas.dead_letter import Uncertain
from schemas.operator.failures import (
    MOST_LISTS,
    FailureCause,
    Replay,
    ReplayOrder,
    Replays,
    ReplaysQuery,
    ReplayStop,
    ReplayTarget,
)

log = logging.getLogger(__name__)

REPLAY = Operation(
    "replay", "Replay dead letters of a cause, list or storage", ReplayOrder, Replay, changes=True
)
REPLAYS = Operation("replays", "Replays and how they went", ReplaysQuery, Replays)
REPLAY_STOP = Operation("replay_stop", "Stop a replay", ReplayStop, Replay, changes=True)
MOST_AT_ONCE = 5
"""Replays that one process carries out at once."""


class ReplayDesk:
    """Begins replays; those that are not waited for go on as tasks of this process."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._letters: DeadLetters = parts.operations.letter_lists
        self._table = CauseTable(parts.configuration, parts.operations)
        self._records = ReplayRecords(parts.redis)
        self._tasks: set[asyncio.Task[None]] = set()
        self._beginning = asyncio.Lock()

    async def replay(self, order: ReplayOrder, call: Call) -> Replay:
        """Count what is selected; then replay it, unless it is a dry run.

        Raises:
            UnknownNameError: there is no such cause, list or storage.
            BusyError: this process carries out as many replays as it may.
        """
        lists = await self._table.read(order.list_name, order.storage)
        rows = rows_of(lists)
        if order.cause is not None:
            rows = matching(rows, order.cause)
        since = int(order.since.timestamp() * 1000) if order.since else 0
        window = Window(since, await self._table.index.now())
        causes = [await self._cause(row, lists, window, order.uncertain) for row in rows]
        replay = _begun(order, call, [each for cause in causes for each in cause.sources])
        if order.dry_run:
            return replay
        for cause in causes:
            cause.feed.asked = f"{call.author.actor}: {call.reason}" if call.reason else replay.by
        task = await self._begin(replay, causes, call)
        if order.wait:
            await _finished(task)
        return replay

    async def _begin(
        self, replay: Replay, causes: Sequence[Cause], call: Call
    ) -> asyncio.Task[None]:
        async with self._beginning:
            if len(self._tasks) >= MOST_AT_ONCE:
                msg = f"{MOST_AT_ONCE} replays are going on here; stop one, or wait"
                raise BusyError(msg)
            replay.state = "running"
            await self._records.begin(replay)
            call.progress(f"replay {replay.id}: {replay.counted} dead letters")
            task = asyncio.create_task(self._run(replay, causes, call))
            self._tasks.add(task)
            task.add_done_callback(self._ended)
            return task

    async def replays(self, query: ReplaysQuery, _call: Call) -> Replays:
        """The last replays, or one of them.

        Raises:
            UnknownNameError: there is no such replay.
        """
        if query.id is not None:
            return Replays(replays=[await self._records.one(query.id)])
        return Replays(replays=await self._records.last(query.limit))

    async def stop(self, order: ReplayStop, call: Call) -> Replay:
        """Ask that a replay stops, on whichever process it goes on.

        Raises:
            UnknownNameError: there is no such replay.
            ConflictError: it has ended.
        """
        return await self._records.stop(order.id, f"{call.author.actor}: {call.reason}")

    async def close(self) -> None:
        """Stop the replays of this process; their records tell that, and nothing is lost."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("replay ended early", exc_info=error)

    async def _cause(
        self,
        row: FailureCause,
        lists: Sequence[ListCauses],
        window: Window,
        uncertain: Uncertain | None,
    ) -> Cause:
        sources = [
            Source(found.name, row.fingerprint, count)
            for found in lists
            if (count := await self._count(found, row.fingerprint, window))
        ]
        to = self._parts.operations.destination
        feed = Feed(self._letters, to, sources, window, self._tries, uncertain)
        label = f"{row.step}: {row.type}" if row.step else row.fingerprint
        return Cause(row.fingerprint, label, feed, sources, self._again(row, lists))

    async def _count(self, found: ListCauses, fingerprint: str, window: Window) -> int:
        count = await self._table.index.count(found.name, fingerprint, window.since, window.until)
        if fingerprint == UNKNOWN:  # those have no time
            return 0 if window.since else count + found.unknown
        return count

    def _again(self, row: FailureCause, lists: Sequence[ListCauses]) -> list[str]:
        """The fingerprints of the same failure: of then, and with the configuration of now."""
        told: list[Mapping[str, Any]] = [
            {**each.about, "error": each.reason.get("error")}
            for found in lists
            for each in found.causes
            if each.fingerprint == row.fingerprint
        ]
        config_hash = self._parts.configuration.config.hash
        now = {
            cause_of(each.get("kind"), each.get("step"), each["error"], config_hash).fingerprint
            for each in told[:1]
        }
        return sorted({row.fingerprint, *now})

    def _tries(self, chain: str) -> int:
        return self._parts.configuration.config.chains[chain].max_attempts

    async def _run(self, replay: Replay, causes: Sequence[Cause], call: Call) -> None:
        seconds = self._parts.settings.replay_canary_seconds
        parts = replay, causes, self._records, self._table.index, call.progress
        async with Ends.heard(self._parts.redis) as ends:
            await ReplayRun(*parts, canary_seconds=seconds).run(ends)
        log.info("replay ended", extra={"status": replay.state, "count": replay.replayed})


async def _finished(task: asyncio.Task[None]) -> None:
    """Wait for a replay; one whose caller is cancelled stops, too."""
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise


def _begun(order: ReplayOrder, call: Call, sources: Sequence[Source]) -> Replay:
    now = datetime.now(UTC)
    targets = [
        ReplayTarget(letters=each.letters, fingerprint=each.fingerprint, count=each.count)
        for each in sources[:MOST_LISTS]
    ]
    return Replay(
        id=uuid.uuid4().hex[:12],
        state="counted",
        **order.model_dump(exclude={"dry_run", "wait"}),
        by=call.author.actor,
        reason=call.reason,
        started=now,
        updated=now,
        counted=sum(each.count for each in sources),
        targets=targets,
    )


def audited_replay(order: ReplayOrder) -> tuple[str, Mapping[str, Any]] | None:
    """What the audit has of a replay; None for a dry run."""
    if order.dry_run:
        return None
    target = order.cause or order.list_name or order.storage or ""
    return target, order.model_dump(mode="json", exclude_defaults=True, exclude={"wait"})


def rows(parts: Parts) -> list[Row]:
    """The operations of this subject."""
    desk = ReplayDesk(parts)
    return [
        Row(REPLAY, desk.replay, audited_replay, desk.close),
        Row(REPLAYS, desk.replays),
        Row(REPLAY_STOP, desk.stop, about("id")),
    ]
