"""Scenarios in which processes are killed."""

from devstack.chaos.feeding import Feeder
from devstack.chaos.looks import in_list
from devstack.chaos.scene import (
    DIED,
    claim_single_attempts,
    conclude,
    kill_a_worker,
    some_moment,
)
from devstack.chaos.system.processes import gone, workers_of
from devstack.chaos.system.servers import Servers
from devstack.chaos.system.system import System
from devstack.chaos.verdict.evidence import LETTERS
from devstack.chaos.verdict.report import Report
from devstack.chaos.verdict.verdict import Evidence
from devstack.chaos.waiting import until

MAX_ATTEMPTS = 3


async def one_of_two(servers: Servers, report: Report) -> None:
    """`kill -9` one of two workers at random moments, while vCons arrive by Redis and RPC."""
    async with System(servers, CONSERVER_WORKERS=2) as system:
        feeder, hit = Feeder(system), 0
        await system.launch()
        async with feeder.flowing(rpc=True):
            for _ in range(report.times):
                hit += await kill_a_worker(system)
        report.claim(hit, "no worker held anything when it was killed")
        await conclude(system, feeder, report, deaths_count=True)


async def the_only_one(servers: Servers, report: Report) -> None:
    """`kill -9` the only worker, which is restarted; every third time the whole service."""
    async with System(servers, CONSERVER_WORKERS=1) as system:
        feeder, hit = Feeder(system), 0
        await system.launch()
        async with feeder.flowing():
            for turn in range(1, report.times + 1):
                if turn % 3:
                    hit += await kill_a_worker(system)
                else:
                    await _kill_the_service(system)
        report.claim(hit, "no worker held anything when it was killed")
        await conclude(system, feeder, report, deaths_count=True)


async def _kill_the_service(system: System) -> None:
    """`kill -9` the service process, whose workers end with it, and start it again."""
    await until(system.working, "a worker")
    await some_moment(0.4)
    service = system.services.pop()
    workers = workers_of(service.pid)
    service.kill()
    await gone(*(worker.pid for worker in workers))
    await system.launch()


async def poison(servers: Servers, report: Report) -> None:
    """A vCon kills its worker process repeatedly, while other vCons arrive."""
    async with System(servers, CONSERVER_WORKERS=1) as system:
        feeder = Feeder(system)
        await system.launch()
        async with feeder.flowing():
            for _ in range(report.times):
                vcon = await feeder.push("die")
                await until(in_list(system, LETTERS, vcon), "the deadly vCon's dead letter")
        _claim_reasons(await conclude(system, feeder, report), report)
        await claim_single_attempts(system, feeder, report)


def _claim_reasons(evidence: Evidence, report: Report) -> None:
    expected = f"{DIED} {MAX_ATTEMPTS} times"
    for vcon, why in evidence.dead.items():
        deadly = evidence.fed.get(vcon) == "die"
        report.claim(not deadly or why == expected, f"{vcon} is dead-lettered because {why}")
