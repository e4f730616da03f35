"""One replay: a canary of each cause, then the rest at a rate.

The first vCons of a cause are queued with one attempt each. When one of their runs does not
succeed, the cause is still there, and its other dead letters stay. So a cause that is still there
costs at most as many attempts as the canary has vCons. While the rest is queued, the replay also
ends when as many dead letters as that come back with the same cause.

Each batch is one script, so a killed replay leaves every vCon either a dead letter or queued, and
the same replay can be begun again. Dead letters that failed after it began are not replayed by it.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from core.errors import PatchcordError, UnavailableError
from core.observability.failure_cause import OTHER, UNKNOWN
from pipeline.admin.causes import CauseIndex
from pipeline.admin.operations import left
from pipeline.replays.ends import LOOK_SECONDS, Ends, has_ended
from pipeline.replays.feed import Feed, Source
from pipeline.replays.records import ReplayRecords
from schemas.operator.failures import Replay, ReplayState

SAVED_SECONDS = 1.0
"""Seconds between two writes of the record, which also show whether it is to stop."""
BATCHES_PER_SECOND = 4
FEWEST_AGAIN = 10
"""Dead letters that may come back while the rest is replayed, if the canary is smaller."""
MOST_ERRORS = 5
SUCCEEDED = ("done", "halted")


@dataclass(frozen=True, slots=True)
class Cause:
    """Dead letters that are replayed together, and under which fingerprints they come back."""

    fingerprint: str
    label: str
    feed: Feed
    sources: Sequence[Source]
    again: Sequence[str]


class ReplayRun:
    """Carries out one replay."""

    def __init__(
        self,
        replay: Replay,
        causes: Sequence[Cause],
        records: ReplayRecords,
        index: CauseIndex,
        progress: Callable[[str], None],
        canary_seconds: float,
    ) -> None:
        """`canary_seconds`: how long the runs of a canary may take."""
        self.replay = replay
        self._causes = causes
        self._records = records
        self._index = index
        self._progress = progress
        self._canary_seconds = canary_seconds
        self._saved = self._looked = 0.0
        self._stopped_by: str | None = None
        self._said = ""
        self._errors: list[str] = []
        self._outcomes: set[ReplayState] = set()

    async def run(self, ends: Ends) -> None:
        """Replay; the record tells the outcome."""
        ends.wanted.add(self.replay.id)
        try:
            for cause in self._causes:
                if await self._canary(cause, ends):
                    await self._rest(cause, ends)
                if self._is_over():
                    break
            self._outcomes.add("done")
            self._note_unsure()
        except PatchcordError as error:
            self._note("stopped", f"{error}; begin the same replay again for the rest")
            raise
        except asyncio.CancelledError:
            self._note("stopped", "its process stopped; begin the same replay again for the rest")
            raise
        finally:
            await self._end()

    async def _canary(self, cause: Cause, ends: Ends) -> bool:
        replay = self.replay
        if not replay.canary or self._is_over():
            return not self._is_over()
        replay.state = "canary"
        runs: list[str] = []
        while (room := min(replay.canary - len(runs), replay.limit - replay.replayed)) > 0:
            queued = await cause.feed.replay(room, canary=True)
            if queued is None or await self._save():
                break
            runs += queued
            replay.replayed += len(queued)
        ends.wanted.update(runs)
        self._say(f"canary of {len(runs)} for {cause.label}: waiting for their runs")
        statuses = await self._ended(runs, ends)
        ends.wanted.difference_update(runs)
        return self._judged(cause, statuses)

    async def _ended(self, runs: Sequence[str], ends: Ends) -> list[str]:
        """The statuses of these runs when all have ended, the time is over, or it is to stop."""
        until = time.monotonic() + self._canary_seconds
        while not all(map(has_ended, statuses := await ends.statuses(runs))):
            if await self._save() or time.monotonic() > until:
                break
            await self._wait(ends, min(LOOK_SECONDS, until - time.monotonic()))
        return statuses

    def _judged(self, cause: Cause, statuses: Sequence[str]) -> bool:
        ended = [status for status in statuses if has_ended(status)]
        failed = len([status for status in ended if status not in SUCCEEDED])
        self.replay.canary_ended += len(ended)
        self.replay.canary_failed += failed
        if failed:
            self._note("canary failed", f"{cause.label}: {failed} of {len(statuses)} failed again")
        elif self._stopped_by is None and len(ended) < len(statuses):
            late = len(statuses) - len(ended)
            text = f"{late} of {len(statuses)} had not ended within {self._canary_seconds:g} s"
            self._note("canary failed", f"{cause.label}: {text}; is the chain working, or paused?")
        else:
            return self._stopped_by is None
        return False

    async def _rest(self, cause: Cause, ends: Ends) -> None:
        replay, began, queued = self.replay, time.monotonic(), 0
        replay.state = "running"
        since = await self._index.now()
        size = max(int(replay.rate / BATCHES_PER_SECOND), 1)
        while (room := min(size, replay.limit - replay.replayed)) > 0:
            runs = await cause.feed.replay(room)
            if runs is None:
                break
            queued += len(runs)
            replay.replayed += len(runs)
            if await self._save() or await self._fails_again(cause, since):
                break
            await self._pace(ends, began + queued / replay.rate)

    async def _pace(self, ends: Ends, due: float) -> None:
        while (left := due - time.monotonic()) > 0 and not await self._save():
            await self._wait(ends, min(left, SAVED_SECONDS))

    async def _wait(self, ends: Ends, seconds: float) -> None:
        """Wait at most so long; at a message, the record is due at once."""
        if await ends.news(seconds):
            self._saved = 0.0

    async def _fails_again(self, cause: Cause, since: int) -> bool:
        is_due = time.monotonic() - self._looked >= SAVED_SECONDS
        if cause.fingerprint in (UNKNOWN, OTHER) or not is_due:
            return False
        self._looked = time.monotonic()
        names = {source.letters for source in cause.sources}
        pairs = [(name, each) for name in names for each in cause.again]
        count = sum([await self._index.count(*pair, since, None) for pair in pairs])
        if count < max(self.replay.canary, FEWEST_AGAIN):
            return False
        self._note("failing again", f"{cause.label}: {count} failed again while it was replayed")
        return True

    async def _save(self) -> bool:
        """Write the record, if that is due; True if the replay is to stop."""
        if self._stopped_by is None and time.monotonic() - self._saved >= SAVED_SECONDS:
            self._saved = time.monotonic()
            self._say(f"{self.replay.replayed} of {self.replay.counted} replayed")
            self.replay.left = self._left()
            self._stopped_by = await self._records.write(self.replay)
            if self._stopped_by is not None:
                self._note("stopped", f"stopped by {self._stopped_by}")
        return self._stopped_by is not None

    def _say(self, text: str) -> None:
        """Report progress, unless it is what was reported last."""
        if text != self._said:
            self._progress(text)
        self._said = text

    def _is_over(self) -> bool:
        return self._stopped_by is not None or self.replay.replayed >= self.replay.limit

    def _left(self) -> int:
        return sum(cause.feed.left for cause in self._causes)

    def _note_unsure(self) -> None:
        if count := sum(len(cause.feed.unsure) for cause in self._causes):
            self._errors.append(left(count))

    def _note(self, outcome: ReplayState, error: str) -> None:
        self._outcomes.add(outcome)
        self._errors.append(error[:300])

    async def _end(self) -> None:
        replay = self.replay
        replay.state = _outcome(self._outcomes)
        replay.error = "; ".join(self._errors[:MOST_ERRORS]) or None
        replay.left, replay.ended = self._left(), datetime.now(UTC)
        with contextlib.suppress(UnavailableError):  # it is shown as stale then
            await self._records.write(replay)


_WORST: Mapping[ReplayState, int] = {
    "stopped": 0,
    "canary failed": 1,
    "failing again": 2,
    "done": 3,
}


def _outcome(outcomes: set[ReplayState]) -> ReplayState:
    return min(outcomes or {"stopped"}, key=_WORST.__getitem__)
