"""Scenarios about long backlogs, and about the first start on an empty database."""

import asyncio

from devstack.chaos.feeding import Feeder
from devstack.chaos.looks import gone_from_redis, length
from devstack.chaos.plugins.chaos_plugins.behaviour import GATE
from devstack.chaos.scene import conclude
from devstack.chaos.system.servers import Servers
from devstack.chaos.system.system import System
from devstack.chaos.verdict.evidence import LETTERS, first_migrations
from devstack.chaos.verdict.report import Report
from devstack.chaos.waiting import until

TTL = 1
"""Seconds: of everything that has a time to live."""
LONGER = 1.5
SLOTS = 4
SERVICES = 8


async def older_than_every_ttl(servers: Servers, report: Report) -> None:
    """A backlog, dead letters and unread egress entries outlive every time to live."""
    settings = {"VCON_REDIS_EXPIRY": TTL, "VCON_DLQ_EXPIRY": TTL, "SWEEP_INTERVAL": 0.1}
    async with System(servers, seconds=0.01, ttl=TTL, **settings) as system:
        feeder, gate = Feeder(system), system.folder / GATE
        gate.touch()
        await system.start()
        await feeder.push_many(SLOTS, "hold")  # nothing gets past them
        await _feed_all_ways(feeder, report.times)
        await _outlive_everything(system)
        gate.unlink()
        await system.settled()
        await _outlive_everything(system)
        await conclude(system, feeder, report)
        dead = await length(system, LETTERS)
        report.claim(dead == report.times, f"{dead} dead letters instead of {report.times}")


async def _feed_all_ways(feeder: Feeder, times: int) -> None:
    """Feed vCons by adapters with and without a time to live, and over RPC."""
    for _ in range(times):
        await feeder.push("pass", ttl=TTL)
        await feeder.push("fail", ttl=TTL)
        await feeder.push("pass")
        await feeder.ingest("pass")


async def _outlive_everything(system: System) -> None:
    """Return after the longest time to live in use has passed."""
    await system.redis.set("canary", 1, px=int(LONGER * 1000))
    await until(gone_from_redis(system, "canary"), "the times to live to be over")


async def eight_at_once(servers: Servers, report: Report) -> None:
    """Eight services start concurrently on a database without tables, while vCons arrive."""
    for _ in range(report.times):
        async with System(servers) as system:
            feeder = Feeder(system)
            async with feeder.flowing(pause=0.05):
                services = [await system.launch() for _ in range(SERVICES)]
                await asyncio.gather(
                    *(asyncio.to_thread(service.wait_until_ready, 90.0) for service in services)
                )
            await conclude(system, feeder, report)
            migrated = await first_migrations(system)
            report.claim(migrated == 1, f"the first migration was run {migrated} times")
            trouble = sum("not ready" in service.logged() for service in services)
            report.claim(not trouble, f"the migration failed in {trouble} services")
