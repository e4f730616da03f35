"""Workers that make no progress are found from outside, reported, killed and replaced."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from app.supervisor import Supervisor
from app.worker_progress import SeenProgress, StalledWorkers, StallLimits, signal_due

PATIENCE = 60.0  # seconds; a ceiling, reached only when something is broken
ROOT = Path(__file__).parents[3]
HOLDS = """
import os, re, sys, threading, time
sys.path.insert(0, sys.argv[1])
from app.worker_progress import WorkerProgress
progress = WorkerProgress(int(os.environ["PROGRESS_FD"]), 5)  # ends by itself, too
def hold_the_lock():
    progress.beat(1)  # from now on it is watched
    re.match("(a+)+$", "a" * 60 + "b")
threading.Thread(target=hold_the_lock).start()
threading.Event().wait()
"""


async def test_a_held_interpreter_is_reported_killed_and_replaced(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No thread of the worker runs, yet its stacks are logged; then the next one is started."""
    reports: asyncio.Queue[str] = asyncio.Queue()
    deaths: asyncio.Queue[str] = asyncio.Queue()

    async def report(worker_id: str, _seconds: float) -> None:
        reports.put_nowait(worker_id)

    async def died(worker_id: str) -> None:
        assert kept.stalled == 0  # the dead do not count
        deaths.put_nowait(worker_id)

    command = [sys.executable, "-c", HOLDS, str(ROOT)]
    stalls = StallLimits(warn=0.1, kill=0.3, report=report, interval=0.05)
    kept = Supervisor(command, 1, died, environment={}, stalls=stalls, restart_pause=0.01)
    keeping = asyncio.create_task(kept.run())
    async with asyncio.timeout(PATIENCE):
        first = await reports.get()
        assert (kept.stalled, kept.running, kept.complete) == (1, 1, False)
        assert await deaths.get() == first
        assert await reports.get() != first
    await kept.stop(0, asyncio.Event())
    keeping.cancel()
    stacks = [each.error for each in caplog.records if each.msg == "stacks of a killed worker"]
    assert "hold_the_lock" in stacks[0]


async def test_one_that_stalls_for_suspects_does_not_make_the_service_unready() -> None:
    """There a vCon that does that is expected; `/metrics` counts it all the same."""
    kept = Supervisor([], 0, not_told, environment={}, stalls=StallLimits(0.1, 9, nothing, 0.05))
    for name, ready in (("one-suspects", True), ("one", False)):
        write(kept._stalled.page_for(name), 1, 1)
        for _ in range(5):
            await kept._stalled.check({name: Process()})
        assert (kept.stalled, kept.complete) == (1 if ready else 2, ready)
    for name in ("one", "one-suspects"):
        kept._stalled.ended(name)


async def not_told(_worker: str) -> None:
    """No worker is told dead."""


class Process:
    """A process that only remembers what it is sent."""

    def __init__(self) -> None:
        self.sent: list[int] = []

    def send_signal(self, signum: int) -> None:
        """Remember a signal."""
        self.sent.append(signum)
        if len(self.sent) == 2:
            raise ProcessLookupError


async def nothing(_worker: str, _seconds: float) -> None:
    """Report to no one."""


async def test_what_ignores_the_first_signal_is_killed() -> None:
    """One that is stopped cannot write its stacks; a process that has ended is no error."""
    stalled, process = StalledWorkers(StallLimits(0.1, 0.2, nothing, 0.05)), Process()
    page = stalled.page_for("one")
    write(page, 1, 1)
    for _ in range(60):
        await stalled.check({"one": process})
    assert process.sent == [signal.SIGPROF, signal.SIGKILL]
    stalled.ended("one")


async def test_a_loop_without_turns_is_told_and_not_killed() -> None:
    """That its thread still looks is enough for the service: the thread knows the limit."""
    stalled, process = StalledWorkers(StallLimits(0.1, 0.2, nothing, 0.05)), Process()
    page = stalled.page_for("one")
    for looks in range(1, 20):
        write(page, 7, looks)
        await stalled.check({"one": process})
    assert (stalled.ids, process.sent) == (["one"], [])
    write(page, 8, 20)
    await stalled.check({"one": process})
    assert stalled.ids == []
    stalled.ended("one")


async def test_one_that_has_not_begun_is_left_alone() -> None:
    """Plugins may take their time to be imported."""
    stalled, process = StalledWorkers(StallLimits(0.1, 0.2, nothing, 0.05)), Process()
    stalled.page_for("one")
    for _ in range(20):
        await stalled.check({"one": process})
    assert (stalled.ids, process.sent) == ([], [])
    stalled.ended("one")


def write(page: SeenProgress, turns: int, looks: int) -> None:
    """Count as a worker does."""
    os.pwrite(page.descriptor, turns.to_bytes(8, sys.byteorder), 0)
    os.pwrite(page.descriptor, looks.to_bytes(8, sys.byteorder), 8)


def test_each_signal_is_sent_once() -> None:
    """SIGPROF when the limit has been reached, SIGKILL 2 s later."""
    looks = [signal_due(still, still - 0.5, 9.0) for still in (8.5, 9.0, 9.5, 10.5, 11.0, 11.5)]
    assert looks == [None, signal.SIGPROF, None, None, signal.SIGKILL, None]
