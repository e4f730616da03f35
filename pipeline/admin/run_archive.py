"""The history of runs: finished runs wait in a Redis list until Postgres has them."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson

from core.concurrency.aio import until_beat
from core.concurrency.backoff import Backoff
from core.concurrency.thread_pool import BoundedCalls, in_own_thread
from core.db.runs import RunHistory
from core.db.vcon_index import IndexChange
from core.errors import InvalidError, PatchcordError, UnavailableError, UnusableKeyError
from core.observability.metrics import RUN_HISTORY_DROPPED
from pipeline.redis_client import keys
from pipeline.redis_client.client import CommandRefused, RedisConnection
from schemas.operator.failures import RecordedCause
from schemas.operator.tail import TailQuery
from schemas.run import Run
from schemas.run_page import RunPage, RunQuery

log = logging.getLogger(__name__)


type WriteReleases = Callable[[Sequence[Mapping[str, Any]]], Awaitable[None]]
type ReadNotes = Callable[[Sequence[str]], Sequence[IndexChange]]


def _nothing(_notes: Sequence[str]) -> Sequence[IndexChange]:
    """For readers of the history, which write no notes."""
    return ()


class RunArchive:
    """Writes and finds runs without blocking the event loop."""

    def __init__(
        self,
        history: RunHistory,
        calls: BoundedCalls,
        changes_of: ReadNotes = _nothing,
        releases: WriteReleases | None = None,
    ) -> None:
        """`calls` carries the reads of requests; writes have a thread of their own.

        `changes_of` reads notes for the index of vCons, in that thread. `releases` writes runs
        that custody has not released yet.
        """
        self._history = history
        self._calls = calls
        self._changes_of = changes_of
        self._releases = releases

    async def find_run(self, run_id: str) -> Run | None:
        """The run as last recorded, or None.

        Raises:
            UnavailableError: when Postgres cannot be reached, or has too much to do.
        """
        return await self._calls(self._history.find_run, run_id)

    async def list_runs(self, query: RunQuery) -> RunPage:
        """Recorded runs, newest first.

        Raises:
            UnavailableError: when Postgres cannot be reached, or has too much to do.
        """
        return await self._calls(self._history.list_runs, query)

    async def ended_runs(self, query: TailQuery) -> tuple[list[Run], bool]:
        """Recorded runs in the order of their ends, and whether more follow them.

        Raises:
            UnavailableError: when Postgres cannot be reached, or has too much to do.
        """
        return await self._calls(self._history.ended_runs, query)

    async def recorded_causes(self, fingerprints: Sequence[str]) -> dict[str, RecordedCause]:
        """What is recorded of these causes of failures, by fingerprint.

        Raises:
            UnavailableError: when Postgres cannot be reached, or has too much to do.
        """
        return await self._calls(self._history.recorded_causes, fingerprints)

    async def prune(self, days: int) -> None:
        """Delete runs, and causes of failures, that are older than so many days.

        Raises:
            UnavailableError: when Postgres cannot be reached.
        """
        await in_own_thread(self._history.prune_runs, days)

    async def keep_partitions(self, days: Mapping[str, int]) -> None:
        """Make the partitions of the next days, and drop those that are older, by table.

        Raises:
            UnavailableError: when Postgres cannot be reached, or a table is locked.
        """
        try:
            dropped = await in_own_thread(self._history.partitions.keep, days)
        except UnavailableError as error:
            log.warning("partitions not kept", extra={"error": str(error)})
            raise
        if dropped:
            log.info("old partitions dropped", extra={"list": ", ".join(dropped)})

    async def write_runs(self, runs: Sequence[dict[str, Any]], notes: Sequence[str] = ()) -> None:
        """Record a batch of runs, and notes about vCons for the index, in one transaction.

        A run or note that no row can hold is left out with a warning.

        Raises:
            UnavailableError: when Postgres cannot be reached; nothing is written.
        """
        if self._releases is not None:
            await self._releases(runs)
        try:
            await in_own_thread(self._write, runs, notes)
        except InvalidError:
            for run in runs:
                await self._write_alone(run)
            for note in notes:
                await self._note_alone(note)

    def _write(self, runs: Sequence[dict[str, Any]], notes: Sequence[str]) -> None:
        self._history.write_runs(runs, self._changes_of(notes) if notes else ())

    async def _note_alone(self, note: str) -> None:
        try:
            await in_own_thread(self._write, (), [note])
        except InvalidError as error:
            log.warning("note about a vCon cannot be kept", extra={"error": str(error)})

    async def _write_alone(self, run: dict[str, Any]) -> None:
        try:
            await in_own_thread(self._history.write_runs, [run])
        except InvalidError as error:
            log.warning(
                "run cannot be recorded", extra={"run": run.get("run_id"), "error": str(error)}
            )


BATCH, BATCH_BYTES = 500, 1_000_000
"""Elements of one batch, and about how many bytes they may have, so that Redis answers soon."""
LISTS = (keys.HISTORY, keys.INDEX)
BACKOFF = Backoff(first=0.5, cap=5.0)
"""Waits between rounds: the first one while runs can be written."""
CHUNK = 5_000
"""Runs dropped by one command, which takes Redis under 5 ms."""
FULL = 0.9
"""Share of its memory above which Redis has no room for history."""

type WriteRuns = Callable[[Sequence[dict[str, Any]], Sequence[str]], Awaitable[None]]
type WriteEnds = Callable[[Sequence[str]], Awaitable[None]]


class RunOutbox:
    """Moves finished runs, and notes for the index, from Redis to Postgres, oldest first.

    Every replica may do it at once: writing a batch twice changes nothing, and it is dropped from
    its list only if its first element still heads that.
    """

    def __init__(
        self,
        connection: RedisConnection,
        write: WriteRuns,
        most: int,
        backoff: Backoff = BACKOFF,
        write_ends: WriteEnds | None = None,
    ) -> None:
        """`write` puts runs and notes into Postgres; raises UnavailableError while that is away.

        `write_ends` does so with what custody has to release besides runs; without, it waits.

        `most` of each, about as many kilobytes, are always kept. The oldest beyond that are dropped
        when Redis lacks memory.
        """
        self._connection = connection
        self._write = write
        self._write_ends = write_ends
        self._most = most
        self._backoff = backoff
        self._failing = False

    async def run(self) -> None:
        """Drain until cancelled."""
        failures = 0
        while True:
            try:
                while await self.drain():
                    pass
                failures = 0
                self._resumed()
            except PatchcordError as error:
                self._postponed(error)
                await self.bound()
                failures += 1
            pause = self._backoff.wait(failures)
            await asyncio.sleep(pause if failures else until_beat(pause))

    def _postponed(self, error: PatchcordError) -> None:
        if not self._failing:
            log.warning("run-history flush postponed", extra={"error": str(error)})
        self._failing = True

    def _resumed(self) -> None:
        if self._failing:
            log.warning("run-history flush resumed")
        self._failing = False

    async def bound(self) -> None:
        """Drop the oldest runs and notes if Redis lacks memory, so that chains can go on."""
        if dropped := await self._bounded(keys.HISTORY):
            RUN_HISTORY_DROPPED.inc(dropped)
            error = "Postgres is away and Redis lacks memory: the oldest runs are not recorded"
            log.error("run history given up", extra={"count": dropped, "error": error})
        if dropped := await self._bounded(keys.INDEX):
            error = "Postgres is away and Redis lacks memory: the oldest vCons are not indexed"
            log.error("index of vCons given up", extra={"count": dropped, "error": error})
        if dropped := await self._bounded(keys.RELEASED):
            error = "Postgres is away and Redis lacks memory: the oldest rows are not released"
            log.error("releases given up", extra={"count": dropped, "error": error})

    async def _bounded(self, name: str) -> int:
        """How many elements of a list were dropped."""
        dropped = 0
        with contextlib.suppress(PatchcordError, CommandRefused):
            waiting = int(await self._connection.command("LLEN", name))
            while waiting > self._most and await self._is_full():
                kept = max(self._most, waiting - CHUNK)
                await self._connection.command("LTRIM", name, -kept, -1)
                dropped, waiting = dropped + waiting - kept, kept
        return dropped

    async def _is_full(self) -> bool:
        """True if Redis is near its memory limit, or near the machine's if it has none."""
        text = str(await self._connection.command("INFO", "memory"))
        pairs = (line.partition(":") for line in text.splitlines())
        memory = {name: value.strip() for name, _, value in pairs}
        return _is_full(memory)

    async def drain(self) -> int:
        """Write one batch; how many elements it had.

        Raises:
            UnavailableError: when Redis or Postgres cannot be reached; nothing is lost.
        """
        if not await self._connection.command("EXISTS", *LISTS, keys.RELEASED):
            return 0
        found, _ = await self._write_batch()
        return max(found, await self._release())

    async def _release(self) -> int:
        """How many places were released."""
        if self._write_ends is None or not (ends := await self._notes(keys.RELEASED)):
            return 0
        await self._write_ends(ends)
        await self._drop(keys.RELEASED, ends)
        return len(ends)

    async def drain_waiting(self) -> None:
        """Write what waits now, in as many batches as it takes.

        Raises:
            UnavailableError: when Redis or Postgres cannot be reached; nothing is lost.
        """
        left = [int(await self._connection.command("LLEN", name)) for name in LISTS]
        found = 1
        while found and any(each > 0 for each in left):
            found, dropped = await self._write_batch()
            left = [before - some for before, some in zip(left, dropped, strict=True)]
        has_ends = self._write_ends is not None
        ends = int(await self._connection.command("LLEN", keys.RELEASED)) if has_ends else 0
        while ends > 0 and (found := await self._release()):
            ends -= found

    async def _write_batch(self) -> tuple[int, list[int]]:
        """How many runs or notes it had, and how many of each this replica dropped."""
        runs = await self._oldest(keys.HISTORY)
        notes = await self._notes(keys.INDEX)
        if not runs and not notes:
            return 0, [0, 0]
        await self._write([orjson.loads(text) for text in runs], notes)
        dropped = [await self._drop(keys.HISTORY, runs), await self._drop(keys.INDEX, notes)]
        return max(len(runs), len(notes)), dropped

    async def _oldest(self, name: str) -> list[str]:
        return list(await self._connection.script("oldest", name, BATCH, BATCH_BYTES))

    async def _notes(self, name: str) -> list[str]:
        """The oldest notes; none while another program's key is in the place of the list."""
        try:
            return await self._oldest(name)
        except UnusableKeyError:
            return []

    async def _drop(self, name: str, batch: Sequence[str]) -> int:
        """How many were dropped: none if another replica has done it."""
        if not batch:
            return 0
        was_first = await self._connection.script("drain_history", name, len(batch), batch[0])
        return len(batch) if was_first else 0


def _is_full(memory: dict[str, str]) -> bool:
    """By the lines of `INFO memory`; False without a limit."""
    limit = int(memory.get("maxmemory", 0)) or int(memory.get("total_system_memory", 0))
    return limit > 0 and int(memory.get("used_memory", 0)) >= FULL * limit
