"""Scenarios in which Redis loses its data, or gets older ones, while vCons come in."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from itertools import cycle, islice
from pathlib import Path
from tempfile import mkdtemp

from devstack.chaos.custody.stage import Stage, stage
from devstack.chaos.scene import some_moment
from devstack.chaos.system.servers import Servers
from devstack.chaos.verdict.report import Report

type Lose = Callable[[Stage], Awaitable[None]]

AGES = (1, 10, 60)
"""Seconds of work that a restored copy does not have, in turn."""
DATA = "appendonlydir"


async def files_deleted(servers: Servers, report: Report) -> None:
    """`kill -9` Redis, delete all its files, and start it again."""
    await _play(servers, report, _delete)


async def flushed(servers: Servers, report: Report) -> None:
    """`FLUSHALL`, as by a wrong script, while Redis and all its connections go on."""
    await _play(servers, report, _flush)


async def older_copy(servers: Servers, report: Report) -> None:
    """Redis is killed and restored from a copy of its files, while chains go on."""
    await _play(servers, report, *map(_restore, AGES))


async def each_way(servers: Servers, report: Report) -> None:
    """The three of them in one system, in turn."""
    await _play(servers, report, _delete, _flush, _restore(AGES[0]))


async def _play(servers: Servers, report: Report, *ways: Lose) -> None:
    async with stage(servers, counts_outside=True) as scene:
        await scene.system.start()
        async with scene.calls():
            for lose in islice(cycle(ways), report.times):
                await scene.progress()
                await some_moment(0.3)
                before = await scene.generation()
                await lose(scene)
                await scene.recovered_since(before)
        await scene.end(report)


async def _delete(scene: Stage) -> None:
    servers = scene.system.servers
    async with scene.account.loss():
        servers.valkey.kill()
        shutil.rmtree(servers.valkey.folder / DATA)
    await servers.restart_valkey()


async def _flush(scene: Stage) -> None:
    async with scene.account.loss(is_sudden=True):
        await scene.system.redis.execute_command("FLUSHALL", "SYNC")


def _restore(age: int) -> Lose:
    async def lose(scene: Stage) -> None:
        servers = scene.system.servers
        copy = await asyncio.to_thread(_copied, servers)
        await asyncio.sleep(age)
        await scene.progress()
        async with scene.account.loss():
            servers.valkey.kill()
            shutil.rmtree(servers.valkey.folder / DATA)
            shutil.move(copy, servers.valkey.folder / DATA)
        await servers.restart_valkey()

    return lose


def _copied(servers: Servers) -> Path:
    """A copy of the files of the running Redis: its last command may be incomplete in it."""
    copy = Path(mkdtemp(dir=servers.folder)) / DATA
    shutil.copytree(servers.valkey.folder / DATA, copy)
    return copy
