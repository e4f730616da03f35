"""Scenarios in which a worker is suspended for longer than its lease, and continues afterwards."""

import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

from devstack.chaos.feeding import Feeder
from devstack.chaos.looks import in_list, noted
from devstack.chaos.plugins.chaos_plugins.behaviour import CALLED, GATE
from devstack.chaos.scene import conclude
from devstack.chaos.system.chain import EGRESS, LINKS
from devstack.chaos.system.processes import WorkerProcess, send
from devstack.chaos.system.servers import Servers
from devstack.chaos.system.system import System
from devstack.chaos.verdict.report import Report
from devstack.chaos.waiting import until

FIRST_LINK = LINKS[0]
LEFT_STOPPED = {"STALLED_WORKER_LIMIT": 600}
"""Seconds: a service would replace a worker that it finds stopped."""


async def of_two(servers: Servers, report: Report) -> None:
    """Another worker takes over from a suspended one, which then continues inside a link."""
    async with System(servers, CONSERVER_WORKERS=2, **LEFT_STOPPED) as system:
        feeder = Feeder(system)
        await system.launch()
        async with feeder.flowing():
            for _ in range(report.times):
                await _taken_over(system, feeder, report)
        await conclude(system, feeder, report)


async def _taken_over(system: System, feeder: Feeder, report: Report) -> None:
    async with _stopped_in_a_link(system, feeder) as (vcon, sleeper):
        (system.folder / GATE).unlink()
        await until(in_list(system, EGRESS, vcon), "another worker to take over")
    await _link_ended(system, vcon, sleeper)
    marks = await _marks(system, vcon)
    report.claim(str(sleeper.pid) not in marks, f"{vcon}: a stale write; its marks are {marks}")


async def the_only_one(servers: Servers, report: Report) -> None:
    """The suspended worker is the only one, so it takes over its own runs."""
    async with System(servers, CONSERVER_WORKERS=1, **LEFT_STOPPED) as system:
        feeder = Feeder(system)
        await system.launch()
        async with feeder.flowing():
            for _ in range(report.times):
                await _taken_back(system, feeder, report)
        await conclude(system, feeder, report)


async def _taken_back(system: System, feeder: Feeder, report: Report) -> None:
    async with _stopped_in_a_link(system, feeder) as (vcon, sleeper):

        async def rescued() -> bool:
            return vcon not in await system.held_by(sleeper)

        await until(rescued, "the vCon to be given back")
        (system.folder / GATE).unlink()
    await until(in_list(system, EGRESS, vcon), "the vCon to be forwarded")
    report.claim(not _overlapping(system, vcon), f"{vcon}: a link ran twice at once")
    marks = await _marks(system, vcon)
    report.claim(len(marks) == 1, f"{vcon}: a stale write; its marks are {marks}")


@asynccontextmanager
async def _stopped_in_a_link(
    system: System, feeder: Feeder
) -> AsyncIterator[tuple[str, WorkerProcess]]:
    """Yields a new vCon that waits inside a link, while its worker is suspended."""
    (system.folder / GATE).touch()
    vcon = await feeder.push("hold", at_head=True)
    [pid] = await until(noted(system, "began", FIRST_LINK, vcon), "a link to begin")
    [sleeper] = [each for each in await until(system.working, "workers") if each.pid == pid]
    send(pid, signal.SIGSTOP)
    try:
        yield vcon, sleeper
    finally:
        send(pid, signal.SIGCONT)


async def _link_ended(system: System, vcon: str, worker: WorkerProcess) -> None:
    look = noted(system, "ended", FIRST_LINK, vcon)

    async def ended() -> bool:
        return worker.pid in await look()

    await until(ended, "the link of the worker that was stopped to end")


async def _marks(system: System, vcon: str) -> list[str]:
    """The ids of the processes whose links have changed this vCon."""
    document = json.loads(await system.redis.execute_command("JSON.GET", f"vcon:{vcon}"))
    return [each["body"] for each in document["attachments"] if each.get("purpose") == "mark"]


def _overlapping(system: System, vcon: str) -> bool:
    """Whether a link began before the previous one had ended."""
    lines = [line.what for line in system.ledger.lines() if line.vcon_uuid == vcon]
    lines = [what for what in lines if what != CALLED]
    return any(both == ("began", "began") for both in pairwise(lines))
