"""Finds workers that make no progress, reports them, and kills those that stand still for long."""

import contextlib
import faulthandler
import logging
import mmap
import os
import signal
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

# A page of memory that a worker shares with its service: whether the worker makes progress.
#
# The service makes a file without a name, hands its descriptor down (`PROGRESS_FD`) and maps the
# same page. The worker counts there: turns of its event loop, and looks of its watchdog's thread.
# A C call that holds the interpreter's lock stops both counts and every thread of the worker, so
# that nothing inside could report it; the service sees it in the page.
#
# SIGPROF makes the worker write the stacks of all its threads behind the page and end. The C
# handler of `faulthandler` does that without the interpreter's lock. The kernel sends the same
# signal by itself (`ITIMER_PROF`) to a worker that burns CPU without its watchdog looking: one
# whose service is gone ends, too.

PAGE = mmap.PAGESIZE
STACK_BYTES = 16_000
"""How much of the stacks is read."""


class WorkerProgress:
    """The worker's side."""

    def __init__(self, descriptor: int, stall_limit: float) -> None:
        """`stall_limit`: seconds without progress after which the service ends this process."""
        self._counts = memoryview(mmap.mmap(descriptor, PAGE)).cast("Q")
        self._patience = 2 * stall_limit  # the service comes first, as long as it is there
        os.lseek(descriptor, PAGE, os.SEEK_SET)
        faulthandler.register(signal.SIGPROF, file=descriptor, all_threads=True, chain=True)

    def beat(self, turns: int) -> None:
        """The watchdog has looked, and has found that the loop has had so many turns."""
        self._counts[0] = turns
        self._counts[1] += 1
        signal.setitimer(signal.ITIMER_PROF, self._patience)

    def stop(self) -> None:
        """This process is ending: it is not watched any more."""
        self._counts[1] = 0
        signal.setitimer(signal.ITIMER_PROF, 0)


class SeenProgress:
    """The service's side, for one worker."""

    def __init__(self) -> None:
        """A fresh page: the worker has not begun."""
        with tempfile.TemporaryFile(buffering=0) as file:
            file.truncate(PAGE)
            self.descriptor = os.dup(file.fileno())
        self._counts = memoryview(mmap.mmap(self.descriptor, PAGE)).cast("Q")
        self._last = (0, 0)
        self.loop_still = 0.0
        """Seconds in which the worker's event loop has had no turn."""
        self.still = 0.0
        """Seconds in which no Python thread of the worker has run."""

    def look(self, seconds: float) -> None:
        """Compare with the last look, so many seconds ago.

        Only looks count as time: when the service was stopped itself, no worker has stood still.
        """
        turns, looks = self._counts[0], self._counts[1]
        begun = looks > 0
        self.loop_still = self.loop_still + seconds if begun and turns == self._last[0] else 0.0
        self.still = self.still + seconds if begun and looks == self._last[1] else 0.0
        self._last = (turns, looks)

    def stacks(self) -> str:
        """The stacks of the worker's threads, if it has ended by SIGPROF; else empty."""
        with contextlib.suppress(OSError):
            return os.pread(self.descriptor, STACK_BYTES, PAGE).decode(errors="replace")
        return ""

    def close(self) -> None:
        """The worker is gone."""
        self._counts.release()
        os.close(self.descriptor)


log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
KILL_AFTER = 2.0
"""Seconds from SIGPROF, by which a worker writes its stacks and ends, to SIGKILL."""


@dataclass(frozen=True, slots=True)
class StallLimits:
    """`warn`: seconds without progress until that is reported; `kill`: until the worker is killed.

    `report` is awaited with the id of the worker and the seconds, before its lease can run out:
    from then on any replica may give back what it holds, and should know what it dies of.
    """

    warn: float
    kill: float
    report: Callable[[str, float], Awaitable[None]]

    @property
    def report_at(self) -> float:
        """Seconds: well before a lease ends that is as long as `kill`."""
        return min(self.warn, self.kill / 2)


class Killable(Protocol):
    """A process."""

    def send_signal(self, signal: int) -> None:
        """Send it a signal; ProcessLookupError when it has ended."""
        ...


def signal_due(still: float, before: float, kill: float) -> signal.Signals | None:
    """What a worker gets that has stood still for so long, and for `before` at the last look."""
    for limit, signum in ((kill + KILL_AFTER, signal.SIGKILL), (kill, signal.SIGPROF)):
        if before < limit <= still:
            return signum
    return None


class StalledWorkers:
    """Looks at the pages of all workers of one service."""

    def __init__(self, limits: StallLimits | None) -> None:
        """Without limits nothing is reported and no worker is killed."""
        self._limits = limits
        self._seen: dict[str, SeenProgress] = {}

    @property
    def ids(self) -> list[str]:
        """The workers that have made no progress for as long as is reported."""
        warn = self._limits.warn if self._limits else float("inf")
        pages = list(self._seen.items())  # asked from the threads of /ready and /metrics, too
        return [name for name, page in pages if max(page.still, page.loop_still) >= warn]

    def page_for(self, worker_id: str) -> SeenProgress:
        """The page of a worker that is about to be started."""
        page = self._seen[worker_id] = SeenProgress()
        return page

    def ended(self, worker_id: str) -> None:
        """A worker is gone; if it was ended for standing still, log the stacks that it left."""
        page = self._seen.pop(worker_id)
        if stacks := page.stacks():
            log.error("stacks of a killed worker", extra={"worker": worker_id, "error": stacks})
        page.close()

    async def look(self, processes: Mapping[str, Killable]) -> None:
        """One look at every worker."""
        for worker_id, process in list(processes.items()):
            page = self._seen.get(worker_id)
            if page is not None and self._limits is not None:
                before = page.still
                page.look(LOOK_SECONDS)
                await self._judge(worker_id, process, page.still, before, self._limits)

    async def _judge(
        self, worker_id: str, process: Killable, still: float, before: float, limits: StallLimits
    ) -> None:
        about = {"worker": worker_id, "seconds": still}
        if before < limits.report_at <= still:
            await limits.report(worker_id, still)
        if before < min(limits.warn, limits.kill) <= still:
            log.warning("worker makes no progress", extra=about)
        if (signum := signal_due(still, before, limits.kill)) is not None:
            log.error("killing a worker that makes no progress", extra=about)
            try:
                process.send_signal(signum)
            except ProcessLookupError:
                log.debug("it has ended meanwhile", extra=about)
