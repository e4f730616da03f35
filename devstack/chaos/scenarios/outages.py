"""Scenarios in which a dependency of the service is unavailable for a while."""

import asyncio

from devstack.chaos.feeding import Feeder
from devstack.chaos.looks import as_long_as, empty
from devstack.chaos.scene import (
    claim_single_attempts,
    conclude,
    innocent,
    some_moment,
    some_progress,
)
from devstack.chaos.system.servers import Servers
from devstack.chaos.system.system import System
from devstack.chaos.verdict.report import Report
from devstack.chaos.waiting import until

SOME = 15
"""How many vCons make sure that something goes on, or goes wrong, for a while."""
IDLE_SECONDS = 0.5
MOST_COMMANDS = 1000
"""Commands of idle services in that time; those that never paused gave ten times as many."""
LETTERS = "DLQ:storage:second"


async def valkey_killed(servers: Servers, report: Report) -> None:
    """`kill -9` Valkey at random moments, and start it again after random times."""
    async with System(servers, CONSERVER_WORKERS=2) as system:
        feeder = Feeder(system)
        await system.launch()
        async with feeder.flowing():
            for _ in range(report.times):
                await some_progress(system)
                await some_moment(0.3)
                servers.valkey.kill()
                await some_moment(1.0)
                await servers.restart_valkey()
        await conclude(system, feeder, report)
        await claim_single_attempts(system, feeder, report)


async def no_memory(servers: Servers, report: Report) -> None:
    """Redis has no memory left while vCons are in flight: they end, and no worker busy-waits."""
    async with System(servers, CONSERVER_WORKERS=2) as system:
        feeder = Feeder(system)
        await system.start()
        for _ in range(report.times):
            for subject in ("pass", "halt") * SOME:
                await feeder.push(subject)
            await system.redis.config_set("maxmemory", 1)
            try:
                await system.settled()
                await _claim_few_commands(system, report)
            finally:
                await system.redis.config_set("maxmemory", 0)
        await conclude(system, feeder, report)
        await claim_single_attempts(system, feeder, report)
        _claim_single_calls(system, feeder, report)


async def _claim_few_commands(system: System, report: Report) -> None:
    """Claim that idle workers send only a few commands per second and list."""
    before = (await system.redis.info("stats"))["total_commands_processed"]
    await asyncio.sleep(IDLE_SECONDS)
    asked = (await system.redis.info("stats"))["total_commands_processed"] - before
    report.claim(asked < MOST_COMMANDS, f"idle workers gave {asked} commands without memory")


async def postgres_stopped(servers: Servers, report: Report) -> None:
    """Postgres is stopped, and started again after chains have continued without it for a while."""
    async with System(servers, CONSERVER_WORKERS=2) as system:
        feeder = Feeder(system)
        await system.start()
        async with feeder.flowing():
            for _ in range(report.times):
                servers.postgres.stop()
                await some_progress(system, SOME)
                await servers.restart_postgres()
        await conclude(system, feeder, report)
        await claim_single_attempts(system, feeder, report)


async def storage_down(servers: Servers, report: Report) -> None:
    """A storage fails every save for a while; replay is automatic."""
    async with System(servers, CONSERVER_WORKERS=2) as system:
        feeder = Feeder(system)
        await system.launch()
        async with feeder.flowing():
            for _ in range(report.times):
                await _take_down(system)
        await until(empty(system, LETTERS), "the storage's replay")
        await conclude(system, feeder, report)
        _claim_single_calls(system, feeder, report)


async def _take_down(system: System) -> None:
    """Fail the storage until it has dead letters, then wait until they are replayed."""
    switch = system.folder / "second.down"
    switch.touch()
    try:
        await until(as_long_as(system, LETTERS, SOME), "dead letters of the storage")
    finally:
        switch.unlink()
    await until(empty(system, LETTERS), "the storage's replay")


def _claim_single_calls(system: System, feeder: Feeder, report: Report) -> None:
    calls = system.ledger.calls("mark")
    repeated = [vcon for vcon in innocent(feeder) if calls[vcon] != 1]
    report.claim(not repeated, f"links ran again for {len(repeated)} vCons: {repeated[:5]}")
