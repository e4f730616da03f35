"""Scenarios in which the machines' wall clocks are stepped, and differ from each other."""

import random
from pathlib import Path

from devstack.chaos.feeding import Feeder
from devstack.chaos.scene import claim_single_attempts, conclude, some_progress
from devstack.chaos.system.chain import PLUGINS
from devstack.chaos.system.servers import Servers
from devstack.chaos.system.system import System
from devstack.chaos.verdict.report import Report

CLOCK = Path(__file__).parents[1] / "clock"
HOUR = 3600
FAILING = 3
"""vCons a round that fail at every attempt: each waits for its retries."""


async def stepped(servers: Servers, report: Report) -> None:
    """Two services whose clocks are stepped by hours independently; no retry is delayed by it."""
    path = f"{CLOCK}:{PLUGINS}"
    async with System(servers, CONSERVER_WORKERS=1, PYTHONPATH=path) as system:
        feeder = Feeder(system)
        clocks = [system.folder / f"clock-{number}" for number in (1, 2)]
        for clock in clocks:
            _step(clock)
            await system.start(CHAOS_CLOCK=str(clock))
        async with feeder.flowing():
            for _ in range(report.times):
                await feeder.push_many(FAILING, "fail")
                await some_progress(system)
                for clock in clocks:
                    _step(clock)
        await conclude(system, feeder, report)
        await claim_single_attempts(system, feeder, report)


def _step(clock: Path) -> None:
    clock.write_text(str(random.choice((-1, 1)) * HOUR * random.uniform(1, 24)))  # noqa: S311 -- guards nothing
