"""Finds workers that make no progress, reports them, and kills those that stand still for long."""

import logging
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from core.progress import SeenProgress

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
