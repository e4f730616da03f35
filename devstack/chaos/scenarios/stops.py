"""Scenarios in which the service is stopped by SIGTERM."""

import asyncio
import signal
import time

from devstack.chaos.feeding import Feeder
from devstack.chaos.looks import in_flight, logged
from devstack.chaos.plugins.chaos_plugins.behaviour import GATE
from devstack.chaos.scene import claim_single_attempts, conclude, some_moment, some_progress
from devstack.chaos.system.chain import INGRESS
from devstack.chaos.system.processes import gone, send, workers_of
from devstack.chaos.system.servers import Servers
from devstack.chaos.system.system import System
from devstack.chaos.verdict.report import Report
from devstack.chaos.waiting import until

GRACE = 20
"""Far more than what runs needs; who takes as long has not stopped by itself."""
SHORT_GRACE = 1
SLOTS = 8
"""vCons at once in two workers."""


async def under_load(servers: Servers, report: Report) -> None:
    """SIGTERM under load, with one worker and with three in turn; then to an idle service."""
    async with System(servers, SHUTDOWN_GRACE=GRACE) as system:
        feeder = Feeder(system)
        async with feeder.flowing():
            for turn in range(report.times):
                await system.launch(CONSERVER_WORKERS=str((1, 3)[turn % 2]))
                await some_progress(system, 5)
                await some_moment(0.3)
                await _stop(system, report)
        await system.launch()
        await conclude(system, feeder, report)
        await claim_single_attempts(system, feeder, report)
        await _stop(system, report)


async def in_a_hurry(servers: Servers, report: Report) -> None:
    """A second SIGTERM while long links are running."""
    async with System(servers, SHUTDOWN_GRACE=GRACE, CONSERVER_WORKERS=2) as system:
        feeder = Feeder(system)
        await system.launch()
        for _ in range(report.times):
            await _hurry(system, feeder, report)
            await system.launch()
            await system.settled()
        await conclude(system, feeder, report)
        await claim_single_attempts(system, feeder, report)


async def _hurry(system: System, feeder: Feeder, report: Report) -> None:
    gate = system.folder / GATE
    gate.touch()
    held = set(await feeder.push_many(SLOTS, "hold"))
    await until(in_flight(system, SLOTS), "all slots to be taken")
    behind = await feeder.push_many(SLOTS)
    await _stop(system, report, signals=2)
    queue = await system.redis.lrange(INGRESS, 0, -1)
    report.claim(set(queue[:SLOTS]) == held, "what ran was not put back at the head")
    report.claim(queue[SLOTS:] == behind, "what waited does not wait any more")
    gate.unlink()


async def without_redis(servers: Servers, report: Report) -> None:
    """SIGTERM under load while Redis is unavailable, so that running vCons cannot be given back."""
    async with System(servers, SHUTDOWN_GRACE=SHORT_GRACE, CONSERVER_WORKERS=2) as system:
        feeder = Feeder(system)
        for _ in range(report.times):
            await system.start()
            await feeder.push_many(2 * SLOTS)
            servers.valkey.kill()
            try:
                await _stop(system, report)
            finally:
                await servers.restart_valkey()
        await system.launch()
        await conclude(system, feeder, report, deaths_count=True)


async def _stop(system: System, report: Report, *, signals: int = 1) -> None:
    """Stop the newest service; it must exit with 0 within the grace period and leave no worker."""
    service = system.services.pop()
    workers = [worker.pid for worker in workers_of(service.pid)]
    began = time.monotonic()
    send(service.pid, signal.SIGTERM)
    for _ in range(signals - 1):
        await until(logged(service, "stopping"), "the service to notice the signal")
        send(service.pid, signal.SIGTERM)
    await gone(service.pid, *workers)
    took = time.monotonic() - began
    code = await asyncio.to_thread(service.stop)
    report.claim(code == 0, f"the exit code is {code}: {service.logged()[-500:]}")
    report.claim(took < GRACE, f"stopping took {took:.1f} s: {service.logged()[-500:]}")
