"""Scenarios in which replicas die while they recover Redis, or see different ones."""

import asyncio
from pathlib import Path
from tempfile import mkdtemp

from devstack.chaos.custody.stage import Stage, stage
from devstack.chaos.looks import logged
from devstack.chaos.scene import some_moment
from devstack.chaos.system.servers import Servers
from devstack.chaos.verdict.report import Report
from devstack.chaos.waiting import until
from devstack.servers.valkey import Valkey

TOLD = "redis is not in use"
QUEUED = 200
CALLERS = 16
IN_THE_MIDDLE = 0.05
"""Seconds at most between the begin of a recovery and the kill."""


async def killed_while_recovering(servers: Servers, report: Report) -> None:
    """`kill -9` the only replica in the middle of its recovery; the next one goes on with it."""
    async with stage(servers, CONSERVER_WORKERS=1) as scene:
        await scene.system.start()
        await _fill(scene)
        before = await scene.generation()
        kills = 0
        while kills < report.times:
            _, is_under_way = await scene.recovery()
            if not is_under_way:
                before = await scene.generation()
                async with scene.account.loss(is_sudden=True):
                    await scene.system.redis.execute_command("FLUSHALL", "SYNC")
            kills += await _killed(scene)
            await scene.system.launch()
        await scene.recovered_since(before)
        await scene.end(report)


async def _fill(scene: Stage) -> None:
    """Have many vCons accepted, more than the workers finish meanwhile."""
    each = QUEUED // CALLERS
    await asyncio.gather(*(_ingest(scene, each) for _ in range(CALLERS)))


async def _ingest(scene: Stage, count: int) -> None:
    for _ in range(count):
        await scene.feeder.ingest()


async def _killed(scene: Stage) -> bool:
    """Kill the replica when it has begun to recover; False if it had ended before the kill."""

    async def begun() -> bool:
        _, is_under_way = await scene.recovery()
        return is_under_way

    await until(begun, "the begin of a recovery")
    await some_moment(IN_THE_MIDDLE)
    async with scene.account.loss():
        await scene.system.kill_services()
    return await begun()


async def different_epochs(servers: Servers, report: Report) -> None:
    """One of two replicas is given another, empty Redis; later that is the only one.

    While the first replica sees its Redis, the second one does nothing with the other. When the
    first one is killed with its Redis, the second one recovers the other.
    """
    for _ in range(report.times):
        other = await asyncio.to_thread(Valkey.start, Path(mkdtemp(dir=servers.folder)))
        try:
            await _play_different_epochs(servers, other, report)
        finally:
            other.stop()


async def _play_different_epochs(servers: Servers, other: Valkey, report: Report) -> None:
    now = servers.valkey
    async with stage(servers.with_valkey(lambda: now)) as scene:
        system = scene.system
        first = await system.start()
        async with scene.calls():
            await scene.progress()
            second = await system.launch(REDIS_URL=other.url)
            await until(logged(second, TOLD), "the second replica to tell of the other Redis")
            await scene.progress()
            checks = await asyncio.to_thread(second.checks)
            report.claim(checks and not all(checks.values()), "the second replica was ready")
            before = await scene.generation()
            async with scene.account.loss():
                await system.kill(first)
                now.kill()
            now = other
            await system.follow_redis()
            await scene.recovered_since(before)
        await scene.end(report)
    await servers.restart_valkey()
