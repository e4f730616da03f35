"""Scenarios in which Redis loses its data, or gets older ones, while vCons come in."""

import asyncio
import shutil
from itertools import cycle, islice
from pathlib import Path
from tempfile import mkdtemp

from devstack.chaos.custody.stage import Stage, stage
from devstack.chaos.report import Report
from devstack.chaos.scene import some_moment
from devstack.chaos.servers import Servers

AGES = (1, 10, 60)
"""Seconds of work that a restored copy does not have, in turn."""
DATA = "appendonlydir"


async def files_deleted(servers: Servers, report: Report) -> None:
    """`kill -9` Redis, delete all its files, and start it again."""
    async with stage(servers) as scene:
        await scene.system.start()
        async with scene.calls():
            for _ in range(report.times):
                before = await _busy(scene)
                async with scene.account.loss():
                    servers.valkey.kill()
                    shutil.rmtree(servers.valkey.folder / DATA)
                await servers.restart_valkey()
                await scene.recovered_since(before)
        await scene.end(report)


async def flushed(servers: Servers, report: Report) -> None:
    """`FLUSHALL`, as by a wrong script, while Redis and all its connections go on."""
    async with stage(servers) as scene:
        await scene.system.start()
        async with scene.calls():
            for _ in range(report.times):
                before = await _busy(scene)
                async with scene.account.loss(is_sudden=True):
                    await scene.system.redis.execute_command("FLUSHALL", "SYNC")
                await scene.recovered_since(before)
        await scene.end(report)


async def older_copy(servers: Servers, report: Report) -> None:
    """Redis is killed and restored from a copy of its files, while chains go on."""
    async with stage(servers, counts_outside=True) as scene:
        await scene.system.start()
        async with scene.calls():
            for age in islice(cycle(AGES), report.times):
                before = await _busy(scene)
                copy = await asyncio.to_thread(_copied, servers)
                await asyncio.sleep(age)
                await scene.progress()
                async with scene.account.loss():
                    servers.valkey.kill()
                    shutil.rmtree(servers.valkey.folder / DATA)
                    shutil.move(copy, servers.valkey.folder / DATA)
                await servers.restart_valkey()
                await scene.recovered_since(before)
        await scene.end(report)


async def _busy(scene: Stage) -> int:
    """Wait for a random moment of work; returns the generation of Redis then."""
    await scene.progress()
    await some_moment(0.3)
    return await scene.generation()


def _copied(servers: Servers) -> Path:
    """A copy of the files of the running Redis: its last command may be incomplete in it."""
    copy = Path(mkdtemp(dir=servers.folder)) / DATA
    shutil.copytree(servers.valkey.folder / DATA, copy)
    return copy
