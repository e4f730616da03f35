"""Finds workers without progress, reports them, and kills them after a limit.

A worker and its service share a page of memory. The service makes a file without a name, passes its
descriptor to the worker (`PROGRESS_FD`) and maps the page. The worker counts turns of its event
loop and passes of its watchdog thread there. A C call that holds the interpreter's lock stops every
Python thread of the worker, so nothing inside it could report that; both counts stop, and the
service sees it.

SIGPROF makes a worker write the stacks of all its threads behind the page and end. The C handler of
`faulthandler` does so without the interpreter's lock. The kernel sends the same signal
(`ITIMER_PROF`) to a worker that uses CPU while its watchdog does not run, so a worker whose service
has died ends as well.
"""

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

log = logging.getLogger(__name__)

PAGE = mmap.PAGESIZE
STACK_BYTES = 16_000
"""Bytes of the stacks that are logged."""
CHECK_INTERVAL = 0.5
"""Seconds between two checks of all pages."""
KILL_AFTER = 2.0
"""Seconds from SIGPROF, by which a worker writes its stacks and ends, to SIGKILL."""


class WorkerProgress:
    """The worker's side of the page."""

    def __init__(self, descriptor: int, stall_limit: float) -> None:
        """`stall_limit`: seconds without progress after which the service kills this process."""
        self._counts = memoryview(mmap.mmap(descriptor, PAGE)).cast("Q")
        self._patience = 2 * stall_limit  # a living service acts first
        os.lseek(descriptor, PAGE, os.SEEK_SET)
        faulthandler.register(signal.SIGPROF, file=descriptor, all_threads=True, chain=True)

    def beat(self, turns: int) -> None:
        """Count one pass of the watchdog; `turns` is the number of turns of the event loop."""
        self._counts[0] = turns
        self._counts[1] += 1
        signal.setitimer(signal.ITIMER_PROF, self._patience)

    def stop(self) -> None:
        """End the supervision: this process is ending."""
        self._counts[1] = 0
        signal.setitimer(signal.ITIMER_PROF, 0)


class SeenProgress:
    """The service's side of one worker's page."""

    def __init__(self) -> None:
        """Make the page; a worker is not checked before its first pass."""
        with tempfile.TemporaryFile(buffering=0) as file:
            file.truncate(PAGE)
            self.descriptor = os.dup(file.fileno())
        self._counts = memoryview(mmap.mmap(self.descriptor, PAGE)).cast("Q")
        self._last = (0, 0)
        self.loop_still = 0.0
        """Seconds since the last turn of the worker's event loop."""
        self.still = 0.0
        """Seconds since the last pass of the worker's watchdog thread."""

    def check(self, seconds: float) -> None:
        """Compare with the last check, which was `seconds` ago.

        The time is the number of checks, so time in which the service itself was stopped does not
        count.
        """
        turns, passes = self._counts[0], self._counts[1]
        begun = passes > 0
        self.loop_still = self.loop_still + seconds if begun and turns == self._last[0] else 0.0
        self.still = self.still + seconds if begun and passes == self._last[1] else 0.0
        self._last = (turns, passes)

    def stacks(self) -> str:
        """The stacks of the worker's threads if SIGPROF has ended it, otherwise an empty text."""
        with contextlib.suppress(OSError):
            return os.pread(self.descriptor, STACK_BYTES, PAGE).decode(errors="replace")
        return ""

    def close(self) -> None:
        """Release the page of a worker that has ended."""
        self._counts.release()
        os.close(self.descriptor)


@dataclass(frozen=True, slots=True)
class StallLimits:
    """Seconds without progress until a worker is warned of (`warn`) and killed (`kill`).

    `report` is awaited with the worker's id and the seconds before the worker's lease can end. From
    then on any replica may give its runs back, and needs the cause of their death.
    """

    warn: float
    kill: float
    report: Callable[[str, float], Awaitable[None]]
    interval: float = CHECK_INTERVAL

    @property
    def report_at(self) -> float:
        """Seconds without progress until `report` is called; at most half of a lease."""
        return min(self.warn, self.kill / 2)


class Killable(Protocol):
    """A process that can be signalled."""

    def send_signal(self, signal: int) -> None:
        """Send a signal; raises ProcessLookupError if the process has ended."""
        ...


def signal_due(still: float, before: float, kill: float) -> signal.Signals | None:
    """The signal for a worker without progress for `still` s, and `before` s at the last check."""
    for limit, signum in ((kill + KILL_AFTER, signal.SIGKILL), (kill, signal.SIGPROF)):
        if before < limit <= still:
            return signum
    return None


class StalledWorkers:
    """Checks the pages of all workers of one service."""

    def __init__(self, limits: StallLimits | None) -> None:
        """Without limits no worker is checked."""
        self._limits = limits
        self._seen: dict[str, SeenProgress] = {}

    @property
    def ids(self) -> list[str]:
        """Ids of the workers without progress for at least `warn` s."""
        warn = self._limits.warn if self._limits else float("inf")
        pages = list(self._seen.items())  # also called in the threads of /ready and /metrics
        return [name for name, page in pages if max(page.still, page.loop_still) >= warn]

    def page_for(self, worker_id: str) -> SeenProgress:
        """Make the page of a worker that is about to be started."""
        page = self._seen[worker_id] = SeenProgress()
        return page

    def ended(self, worker_id: str) -> None:
        """Release the page of a worker that has ended, and log the stacks in it, if any."""
        page = self._seen.pop(worker_id)
        if stacks := page.stacks():
            log.error("stacks of a killed worker", extra={"worker": worker_id, "error": stacks})
        page.close()

    @property
    def interval(self) -> float:
        """Seconds between two calls of `check`."""
        return self._limits.interval if self._limits else CHECK_INTERVAL

    async def check(self, processes: Mapping[str, Killable]) -> None:
        """Check every worker once; warn of, report and kill those that need it."""
        for worker_id, process in list(processes.items()):
            page = self._seen.get(worker_id)
            if page is not None and self._limits is not None:
                before = page.still
                page.check(self._limits.interval)
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
                log.debug("worker has ended already", extra=about)
