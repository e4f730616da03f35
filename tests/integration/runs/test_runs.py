"""Runs as callers see them: requested, waited for, found again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from core.errors import UnknownNameError
from devstack.servers.valkey import Valkey
from pipeline.admin.runs import Runs
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from schemas.run import Run
from tests.integration.support.pipeline_fixtures import (
    PATIENCE,
    Scene,
    a_vcon,
    configured,
    link,
    new_uuid,
    storage,
)


@pytest.fixture
async def gate():
    """A link that waits, and what opens it."""
    opened = asyncio.Event()

    async def waits(vcon_uuid: str, _name: str, _options: Any) -> str:
        await opened.wait()
        return vcon_uuid

    return opened, link(waits, "waits")


@contextlib.asynccontextmanager
async def listening(runs: Runs):
    """Those runs hear of what has finished."""
    task = asyncio.create_task(runs.listen())
    async with asyncio.timeout(PATIENCE):
        await runs._listening.wait()
    yield runs
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def a_stored_vcon(scene: Scene) -> str:
    """A vCon in Redis."""
    vcon = a_vcon()
    await scene.store.put(vcon)
    return vcon["uuid"]


async def test_a_requested_run_is_registered_before_anything_of_it_runs(scene: Scene):
    """Without any worker it can be found, queued, with its place in the chain's own list."""
    configuration = configured()
    vcon_uuid = await a_stored_vcon(scene)
    run_id = await scene.runs(configuration).start("main", vcon_uuid)
    run = await scene.runs(configuration).find(run_id)
    assert (run.status, run.chain, run.vcon_in, run.vcon_out) == (
        "queued",
        "main",
        vcon_uuid,
        vcon_uuid,
    )
    assert run.config_hash == configuration.config.hash
    assert run.queued_at
    assert scene.elements("run:main") == [f"{vcon_uuid}|{run_id}"]
    assert run.ingress_list is None


async def test_a_vcon_that_is_not_there_cannot_be_run(scene: Scene, client: Redis):
    """The answer names it, and nothing is queued."""
    missing = new_uuid()
    with pytest.raises(UnknownNameError, match=missing):
        await scene.runs(configured()).start("main", missing)
    assert client.keys("*") == []


async def test_a_requested_vcon_stays_until_its_run_is_over(scene: Scene):
    """A vCon with a time to live loses it with the request, and gets it back when it is stored."""
    vcon = a_vcon()
    await scene.store.put(vcon, 50)
    configuration = configured(storages=[storage()], egress=())
    await scene.runs(configuration).start("main", vcon["uuid"])
    assert scene.client.ttl(keys.vcon(vcon["uuid"])) == -1
    await scene.start(configuration)
    await scene.ended()
    assert scene.client.ttl(keys.vcon(vcon["uuid"])) > 0


async def test_waiting_ends_with_the_run(scene: Scene, gate: Any):
    """A caller that waits gets the finished run as soon as it is finished."""
    opened, waits = gate
    configuration = configured(links=[waits])
    await scene.start(configuration)
    async with listening(scene.runs(configuration)) as runs:
        run_id = await runs.start("main", await a_stored_vcon(scene))
        waiting = asyncio.create_task(runs.wait(run_id, PATIENCE))
        opened.set()
        run = await waiting
    assert (run.status, run.run_id) == ("done", run_id)
    assert [step.name for step in run.steps] == ["waits"]


async def test_a_run_that_is_finished_already_is_not_waited_for(scene: Scene):
    """The news came before anybody asked: the answer is there at once."""
    configuration = configured()
    await scene.start(configuration)
    async with listening(scene.runs(configuration)) as runs:
        run_id = await runs.start("main", await a_stored_vcon(scene))
        await scene.ended()
        async with asyncio.timeout(PATIENCE):
            assert (await runs.wait(run_id, 3600)).status == "done"


async def test_when_the_time_is_over_the_run_goes_on(scene: Scene, gate: Any):
    """The caller gets the run as it stands; later it is found finished."""
    opened, waits = gate
    configuration = configured(links=[waits])
    await scene.start(configuration)
    async with listening(scene.runs(configuration)) as runs:
        run_id = await runs.start("main", await a_stored_vcon(scene))
        assert (await runs.wait(run_id, 0.01)).status in ("queued", "running")
        opened.set()
        await scene.ended()
        assert (await runs.find(run_id)).status == "done"


async def test_any_replica_finds_a_run(scene: Scene, redis_url: str):
    """Another process that has never heard of it answers the same."""
    configuration = configured()
    await scene.start(configuration)
    run_id = await scene.runs(configuration).start("main", await a_stored_vcon(scene))
    await scene.ended()
    other = RedisConnection(redis_url)
    elsewhere = Runs(other, scene.intake, scene.queues, Memory(), configuration)
    assert (await elsewhere.find(run_id)).status == "done"
    await other.close()


async def test_another_replica_hears_the_end_too(scene: Scene, redis_url: str, gate: Any):
    """Waiting works wherever the run was requested."""
    opened, waits = gate
    configuration = configured(links=[waits])
    await scene.start(configuration)
    run_id = await scene.runs(configuration).start("main", await a_stored_vcon(scene))
    other = RedisConnection(redis_url)
    async with listening(
        Runs(other, scene.intake, scene.queues, Memory(), configuration)
    ) as elsewhere:
        waiting = asyncio.create_task(elsewhere.wait(run_id, PATIENCE))
        opened.set()
        assert (await waiting).status == "done"
    await other.close()


async def test_two_callers_may_wait_for_the_same_run(scene: Scene, gate: Any):
    """Both get their answer."""
    opened, waits = gate
    configuration = configured(links=[waits])
    await scene.start(configuration)
    async with listening(scene.runs(configuration)) as runs:
        run_id = await runs.start("main", await a_stored_vcon(scene))
        waiting = [asyncio.create_task(runs.wait(run_id, PATIENCE)) for _ in range(2)]
        await asyncio.sleep(0)
        opened.set()
        assert [run.status for run in await asyncio.gather(*waiting)] == ["done"] * 2


class Memory:
    """Remembers the runs it is given."""

    def __init__(self, *runs: Run) -> None:
        self._runs = {run.run_id: run for run in runs}

    async def find_run(self, run_id: str) -> Run | None:
        """The run, or None."""
        return self._runs.get(run_id)


async def test_an_old_run_is_found_in_the_history(scene: Scene):
    """What Redis has forgotten is answered from the long memory."""
    old = Run(run_id="old", chain="main", vcon_in="a", vcon_out="a", status="done")
    runs = Runs(scene.redis, scene.intake, scene.queues, Memory(old), configured())
    assert await runs.find("old") == old


async def test_an_unknown_run_is_named(scene: Scene):
    """It is unknown."""
    with pytest.raises(UnknownNameError, match="Unknown run: nonsense"):
        await scene.runs(configured()).find("nonsense")


class DeafConnection(RedisConnection):
    """The real connection, but a subscription has to wait for permission."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.may_listen = asyncio.Event()
        self.may_listen.set()

    async def messages(self, channel: str) -> AsyncIterator[str]:
        """What is published, once it may be heard."""
        await self.may_listen.wait()
        async for message in super().messages(channel):
            yield message


async def test_news_of_an_outage_is_caught_up_on(reachable_folder: Path):
    """A run that ends after Redis came back and before anybody listens again is not missed."""
    server = Valkey.start(reachable_folder)
    redis = DeafConnection(server.url)
    client = Redis.from_url(server.url, decode_responses=True)
    scene = Scene(redis, client)
    configuration = configured()
    try:
        async with listening(scene.runs(configuration)) as runs, asyncio.timeout(PATIENCE):
            run_id = await runs.start("main", await a_stored_vcon(scene))
            waiting = asyncio.create_task(runs.wait(run_id, 3600))
            await asyncio.sleep(0)
            await runs.find(run_id)  # what it asks at first has been answered, too
            redis.may_listen.clear()
            server.kill()
            await asyncio.to_thread(server.restart)
            await redis.wait_until_reachable()
            await scene.start(configuration)
            await scene.ended()
            redis.may_listen.set()
            assert (await waiting).status == "done"
    finally:
        await scene.close()
        client.close()
        await redis.close()
        server.stop()
