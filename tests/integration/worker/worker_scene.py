"""Links, failures and servers that the tests of workers share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redis import Redis

from devstack.servers.valkey import Valkey
from lib.vcon_redis import AsyncVconRedis
from pipeline.redis_client import client as connection
from pipeline.redis_client.client import RedisConnection
from tests.integration.support.pipeline_fixtures import (
    PATIENCE,
    Scene,
)


class Gate:
    """A link that stops every vCon until it is opened, and tells who has arrived."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[str] = asyncio.Queue()
        self.open = asyncio.Event()
        self.inside = 0
        self.most = 0

    async def run(self, vcon_uuid: str, _name: str, _options: Any) -> str:
        """The link."""
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.arrived.put_nowait(vcon_uuid)
        try:
            await self.open.wait()
        finally:
            self.inside -= 1
        return vcon_uuid

    async def arrival(self) -> str:
        """Who stands here next."""
        async with asyncio.timeout(PATIENCE):
            return await self.arrived.get()


async def ok(vcon_uuid: str, _name: str, _options: Any) -> str:
    """A link that does nothing."""
    return vcon_uuid


def failing(times: int) -> Any:
    """A link that fails so many times."""
    left = [None] * times

    async def fails(vcon_uuid: str, _name: str, _options: Any) -> str:
        if left:
            left.pop()
            raise RuntimeError("not yet")
        return vcon_uuid

    return fails


def lapse(lease: Any) -> None:
    """The lease runs out without anybody having renewed it."""
    lease._valid_until = 1e-9


async def kill(scene: Scene, crew: Any) -> None:
    """The process is killed: nothing is returned, and the supervisor buries the worker."""
    scene.crews.remove(crew)
    crew.lease._stopping.set()
    worker = crew.worker
    worker._queues = worker._runs._queues = worker._settler._queues = None  # further calls fail
    tasks = [crew.task, *crew.worker._runs.tasks.values()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    crew.calls.close()
    await scene.queues.bury(crew.name)


@asynccontextmanager
async def own_server(folder: Path) -> AsyncIterator[tuple[Scene, Valkey]]:
    """A server of the test's own with a scene on it."""
    server = Valkey.start(folder)
    redis = RedisConnection(server.url)
    connection.install(redis)
    client = Redis.from_url(server.url, decode_responses=True)
    scene = Scene(redis, client)
    try:
        yield scene, server
    finally:
        await scene.close()
        connection._installed.clear()
        client.close()
        await redis.close()
        server.stop()


def passes(vcon_uuid: str, _name: str, _options: Any) -> str:
    """A sync link that does nothing."""
    return vcon_uuid


async def passes_async(vcon_uuid: str, _name: str, _options: Any) -> str:
    """An async link that does nothing."""
    return vcon_uuid


class Unexpected(BaseException):
    """What no code has been written for."""


def raising(error: BaseException, *, is_async: bool) -> Callable[..., Any]:
    """A plugin that raises this."""

    async def raises_async(*_: Any) -> None:
        raise error

    def raises(*_: Any) -> None:
        raise error

    return raises_async if is_async else raises


async def touches(vcon_uuid: str, *_: Any) -> str:
    """A link that reads and writes the vCon."""
    document = await AsyncVconRedis().get_vcon_dict(vcon_uuid)
    await AsyncVconRedis().store_vcon_dict((document or {}) | {"subject": "seen"})
    return vcon_uuid
