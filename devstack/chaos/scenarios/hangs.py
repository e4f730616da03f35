"""Scenarios in which a vCon hangs, blocks the event loop or holds the interpreter's lock."""

from collections.abc import Mapping
from typing import Any

from devstack.chaos.feeding import Feeder
from devstack.chaos.looks import in_flight, in_list
from devstack.chaos.plugins.chaos_plugins.behaviour import GATE
from devstack.chaos.scene import DIED, claim_single_attempts, conclude
from devstack.chaos.system.chain import EGRESS
from devstack.chaos.system.processes import gone
from devstack.chaos.system.servers import Servers
from devstack.chaos.system.system import System
from devstack.chaos.verdict.evidence import LETTERS
from devstack.chaos.verdict.report import Report
from devstack.chaos.waiting import until

MAX_ATTEMPTS = 3
SLOTS = 4
FRESH = 10


async def suspects(servers: Servers, report: Report) -> None:
    """A worker with hanging vCons is killed; new vCons are processed, and none is dead-lettered."""
    async with System(servers, CONSERVER_WORKERS=1, SUSPECT_WAIT=1) as system:
        feeder = Feeder(system)
        await system.start()
        for _ in range(report.times):
            await _killed_under_hanging_vcons(system, feeder)
        await conclude(system, feeder, report)
        await claim_single_attempts(system, feeder, report)


async def _killed_under_hanging_vcons(system: System, feeder: Feeder) -> None:
    (system.folder / GATE).touch()
    await feeder.push_many(SLOTS, "hold")
    await until(in_flight(system, SLOTS), "all slots to be taken")
    [worker] = [
        each for each in await until(system.working, "a worker") if await system.held_by(each)
    ]
    worker.kill()
    await gone(worker.pid)
    for vcon in await feeder.push_many(FRESH):
        await until(in_list(system, EGRESS, vcon), "a fresh vCon to get past those that hang")
    (system.folder / GATE).unlink()
    await system.settled()


async def blocked_loop(servers: Servers, report: Report) -> None:
    """An async link blocks its event loop repeatedly, while other vCons arrive."""
    quick = {"BLOCKED_LOOP_WARNING": 0.3, "BLOCKED_LOOP_LIMIT": 0.6}
    await _dead_letters_of(servers, report, "block", "BlockedLoop: ", quick)


async def held_interpreter(servers: Servers, report: Report) -> None:
    """A sync link holds the interpreter's lock, so that no thread of its worker runs."""
    await _dead_letters_of(servers, report, "grip", f"{DIED} {MAX_ATTEMPTS} times", {})


async def _dead_letters_of(
    servers: Servers, report: Report, subject: str, reason: str, settings: Mapping[str, Any]
) -> None:
    async with System(servers, CONSERVER_WORKERS=1, **settings) as system:
        feeder = Feeder(system)
        await system.launch()
        async with feeder.flowing():
            for _ in range(report.times):
                vcon = await feeder.push(subject)
                await until(in_list(system, LETTERS, vcon), "the dead letter of what stood still")
        evidence = await conclude(system, feeder, report)
        for vcon, why in evidence.dead.items():
            fine = evidence.fed.get(vcon) != subject or why.startswith(reason)
            report.claim(fine, f"{vcon} is dead-lettered because {why}")
        await claim_single_attempts(system, feeder, report)
