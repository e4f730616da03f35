"""Workers during an outage of Redis, and while it has no memory."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from lib.vcon_redis import AsyncVconRedis, VconRedis
from tests.integration.support.pipeline_fixtures import (
    PATIENCE,
    Scene,
    both,
    configured,
    link,
    storage,
)
from tests.integration.worker.worker_scene import Gate, ok, own_server
from tests.time_limits import HOUR, TimeIsUp

pytestmark = pytest.mark.usefixtures("at_once")


async def test_what_fails_by_itself_does_not_wait_for_memory(scene: Scene, client: Redis):
    """Runs that wait would keep all places, and what has ended is what makes room."""

    def save(_uuid: str, _options: object) -> None:
        client.config_set("maxmemory", 1)
        raise OSError("down")

    await scene.start(configured(storages=[storage(save)]))
    await scene.feed()
    try:
        assert (await scene.ended()).status == "partial"
    finally:
        client.config_set("maxmemory", 0)


@pytest.mark.parametrize("is_sync", [True, False])
async def test_a_link_during_an_outage_is_repeated_and_not_counted(
    reachable_folder: Path, news: asyncio.Queue[str], is_sync: bool
):
    """Redis is killed in the middle of a link and comes back: same attempt, same run, done."""
    arrived, go_on, calls = asyncio.Event(), threading.Event(), []
    loop = asyncio.get_running_loop()

    def sync_reads(vcon_uuid: str, name: str, _options: Any) -> str | None:
        calls.append(name)
        loop.call_soon_threadsafe(arrived.set)
        go_on.wait(PATIENCE)
        document = VconRedis().get_vcon_dict(vcon_uuid)
        VconRedis().store_vcon_dict((document or {}) | {"subject": name})
        return vcon_uuid

    async def async_reads(vcon_uuid: str, name: str, _options: Any) -> str | None:
        calls.append(name)
        arrived.set()
        await asyncio.to_thread(go_on.wait, PATIENCE)
        document = await AsyncVconRedis().get_vcon_dict(vcon_uuid)
        await AsyncVconRedis().store_vcon_dict((document or {}) | {"subject": name})
        return vcon_uuid

    async with own_server(reachable_folder) as (scene, server):
        reads = link(sync_reads if is_sync else async_reads, "reads")
        await scene.start(configured(links=[link(ok), reads], max_attempts=1))
        [vcon_uuid] = await scene.feed()
        async with asyncio.timeout(PATIENCE):
            await arrived.wait()
        server.kill()
        go_on.set()
        assert "unavailable" in await news.get()
        await asyncio.to_thread(server.restart)
        ended = await scene.finished()
        assert (ended.run["error"], ended.status, ended.claim.attempt) == (None, "done", 1)
        assert ended.steps == [("ok", "ok"), ("reads", "ok")]
        assert len(calls) >= 2
        assert scene.elements("out") == [vcon_uuid]
        # a connection that was idle since the outage fails once
        document = await scene.redis.insist(lambda: scene.store.get(vcon_uuid))
        assert (document or {})["subject"] == "reads"


async def test_a_link_that_hides_an_outage_does_not_halt(
    reachable_folder: Path, news: asyncio.Queue[str]
):
    """A link that answers None because Redis was away has not judged the vCon."""
    arrived, go_on, calls = asyncio.Event(), asyncio.Event(), []

    async def hides(vcon_uuid: str, name: str, _options: Any) -> str | None:
        calls.append(name)
        arrived.set()
        await go_on.wait()
        try:
            await AsyncVconRedis().get_vcon_dict(vcon_uuid)
        except Exception:
            await asyncio.to_thread(restarted.wait, PATIENCE)
            return None
        return vcon_uuid

    restarted = threading.Event()
    async with own_server(reachable_folder) as (scene, server):
        await scene.start(configured(links=[link(hides)], max_attempts=1))
        [vcon_uuid] = await scene.feed()
        async with asyncio.timeout(PATIENCE):
            await arrived.wait()
        server.kill()
        go_on.set()
        assert "unavailable" in await news.get()
        await asyncio.to_thread(server.restart)
        restarted.set()
        assert (await scene.finished()).status == "done"
        assert scene.elements("out") == [vcon_uuid]


async def test_idle_and_settling_workers_outlast_an_outage(
    reachable_folder: Path, news: asyncio.Queue[str]
):
    """A worker that waits and one that wants to settle both go on when Redis is back."""
    gate = Gate()
    async with own_server(reachable_folder) as (scene, server):
        chain = both(
            configured(links=[link(gate.run, "gate")]),
            configured(name="two", ingress=("in2",), egress=("out2",)),
        )
        await scene.start(chain, concurrency=1)
        [running] = await scene.feed()
        await gate.arrival()
        server.kill()
        gate.open.set()
        assert "unavailable" in await news.get()
        await asyncio.to_thread(server.restart)
        assert (await scene.finished()).claim.vcon_uuid == running
        [later] = await scene.feed("in2")
        assert (await scene.finished()).claim.vcon_uuid == later
        assert (scene.elements("out"), scene.elements("out2")) == ([running], [later])


async def test_an_outage_does_not_count_for_the_chains_timeout(
    reachable_folder: Path, news: asyncio.Queue[str], time_is_up: TimeIsUp
):
    """Time that was spent on waiting for Redis is not the chain's."""
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def reads(vcon_uuid: str, _name: str, _options: Any) -> str | None:
        arrived.set()
        await go_on.wait()
        await AsyncVconRedis().get_vcon_dict(vcon_uuid)
        return vcon_uuid

    async with own_server(reachable_folder) as (scene, server):
        await scene.start(configured(links=[link(reads)], timeout=HOUR, max_attempts=1))
        await scene.feed()
        async with asyncio.timeout(PATIENCE):
            await arrived.wait()
        server.kill()
        go_on.set()
        assert "unavailable" in await news.get()
        time_is_up()
        await asyncio.to_thread(server.restart)
        ended = await scene.finished()
        assert (ended.status, ended.claim.attempt) == ("done", 1)
