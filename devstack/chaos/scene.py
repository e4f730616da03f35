"""Steps shared by the scenarios: random waits, kills, and the final checks."""

import asyncio
import random

from devstack.chaos.feeding import Feeder
from devstack.chaos.looks import as_long_as, length
from devstack.chaos.system.chain import EGRESS
from devstack.chaos.system.processes import WorkerProcess, gone
from devstack.chaos.system.system import System
from devstack.chaos.verdict.evidence import attempts, gather
from devstack.chaos.verdict.report import Report
from devstack.chaos.verdict.verdict import Evidence, judge
from devstack.chaos.waiting import ChaosError, until

INNOCENT = ("pass", "halt", "hold")
DIED = "the process running it died"


async def some_moment(at_most: float) -> None:
    """Wait for a random time, so that the next step interrupts the workers at any point."""
    await asyncio.sleep(random.uniform(0, at_most))  # noqa: S311 -- guards nothing


async def some_progress(system: System, count: int = 3) -> None:
    """Return when `count` more vCons have been forwarded; the next fault then interrupts work."""
    wanted = await length(system, EGRESS) + count
    await until(as_long_as(system, EGRESS, wanted), f"{count} more vCons in egress")


async def kill_a_worker(system: System) -> int:
    """`kill -9` a worker at a random moment; returns the number of vCons it held just before."""
    await some_progress(system)
    await some_moment(0.2)
    victim: WorkerProcess = random.choice(await until(system.working, "a worker"))  # noqa: S311 -- guards nothing
    held = await system.held_by(victim)
    victim.kill()
    await gone(victim.pid)
    return len(held)


async def conclude(
    system: System, feeder: Feeder, report: Report, *, deaths_count: bool = False
) -> Evidence:
    """Wait until every vCon has ended, and judge the result.

    `deaths_count`: accept vCons that are dead letters because their process died too often.
    """
    try:
        await system.settled()
    except ChaosError as error:
        report.broken.append(f"{error}; {dict(await system.backlog())}")
    evidence = await gather(system, feeder.fed)
    report.verdict = judge(evidence)
    letters = {**evidence.refused, **evidence.dead}
    wronged = {
        vcon: why
        for vcon, why in letters.items()
        if evidence.fed.get(vcon) in INNOCENT and not (deaths_count and why.startswith(DIED))
    }
    report.claim(not wronged, f"{len(wronged)} healthy vCons dead-lettered: {wronged}"[:500])
    report.broken.extend(f"unexpected: {each}" for each in system.tracebacks()[:3])
    return evidence


async def claim_single_attempts(system: System, feeder: Feeder, report: Report) -> None:
    """Claim that every healthy vCon ended in its first attempt."""
    counts = await attempts(system)
    repeated = [vcon for vcon in innocent(feeder) if counts.get(vcon, 1) > 1]
    report.claim(not repeated, f"{len(repeated)} healthy vCons used up attempts: {repeated[:5]}")


def innocent(feeder: Feeder) -> list[str]:
    """The vCons with which no plugin fails deliberately."""
    return [vcon for vcon, subject in feeder.fed.items() if subject in INNOCENT]
