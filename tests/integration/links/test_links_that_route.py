"""The links that wait, expire, sample and route, on a real Redis and in the engine."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis import Redis

from lib.queue import VconQueue
from lib.vcon_redis import VconRedis
from links import delay, expire_vcon, sampler, tag, tag_router
from pipeline.redis_client.client import RedisConnection
from tests.integration.support.pipeline_fixtures import (
    Scene,
    a_vcon,
    configured,
    link,
    new_uuid,
    storage,
)
from tests.unit.links.test_plugin_tag import tags_attachment


def plugin(module: Any, options: dict[str, Any]) -> Any:
    """A built-in link as it says it is."""
    through_lib = getattr(module, "only_through_lib", False)
    name = module.__name__.rpartition(".")[2]
    return link(module.run, name, options=options, only_through_lib=through_lib)


async def test_a_vcon_with_a_routed_tag_goes_to_its_list(scene: Scene):
    """And on in its own chain, or not, as the options say."""
    vcon = a_vcon(attachments=[tags_attachment("vip:yes")])
    await scene.store.put(vcon)
    options = {"tag_routes": {"vip": "vips"}}
    assert await tag_router.run(vcon["uuid"], "route", options) == vcon["uuid"]
    assert scene.elements("vips") == [vcon["uuid"]]
    only = options | {"forward_original": False}
    assert await tag_router.run(vcon["uuid"], "route", only) is None
    other = a_vcon()
    await scene.store.put(other)
    assert await tag_router.run(other["uuid"], "route", only) == other["uuid"]
    assert scene.elements("vips") == [vcon["uuid"]] * 2
    assert await tag_router.run(new_uuid(), "route", options) is None


async def test_whoever_reads_the_list_finds_what_the_links_before_wrote(
    scene: Scene, client: Redis
):
    """Also where they share one write for all of them."""
    seen: list[bool] = []

    async def look(vcon_uuid: str, _name: str, _options: object) -> str:
        text = client.execute_command("JSON.GET", f"vcon:{vcon_uuid}")
        seen.append("vip:yes" in str(text) and client.lrange("vips", 0, -1) == [vcon_uuid])
        return vcon_uuid

    links = [
        plugin(tag, options={"tags": {"vip": "yes"}}),
        plugin(tag_router, options={"tag_routes": {"vip": "vips"}}),
        link(look, only_through_lib=True),
    ]
    await scene.start(configured(links=links))
    await scene.feed()
    assert (await scene.ended()).status == "done"
    assert seen == [True]


async def test_an_expiry_begins_when_the_run_is_over(scene: Scene, client: Redis):
    """Not while it lasts, and instead of the service's own."""
    during: list[int] = []

    async def slow(vcon_uuid: str, _name: str, _options: object) -> str:
        await asyncio.to_thread(crew.lease._renew)  # as the lease does by itself, now and then
        during.append(int(client.ttl(f"vcon:{vcon_uuid}")))
        return vcon_uuid

    links = [link(expire_vcon.run, options={"seconds": 50}, only_through_lib=True), link(slow)]
    crew = await scene.start(configured(links=links, storages=[storage()], egress=()))
    [vcon_uuid] = await scene.feed()
    await scene.ended()
    assert during == [-1]
    assert 0 < int(client.ttl(f"vcon:{vcon_uuid}")) <= 50
    assert await expire_vcon.run(new_uuid(), "expire", None) is None


async def test_no_time_to_live_runs_while_a_run_needs_the_vcon(scene: Scene, client: Redis):
    """Not for a moment, in whichever way it was set: the process may end just then."""
    during: list[int] = []

    def expires(uuid: str, _name: str, _options: object) -> str:
        document = VconRedis().get_vcon_dict(uuid) or {}
        ways = [
            lambda: VconRedis().set_expiry(uuid, 50),
            lambda: VconQueue().set_vcon_ttl(uuid, 50),
            lambda: VconRedis().store_vcon_dict(document, ttl=50),
        ]
        for way in ways:
            way()
            during.append(int(client.ttl(f"vcon:{uuid}")))
            assert VconRedis().get_ttl(uuid) == 50
            assert VconRedis().remove_expiry(uuid)
            assert VconRedis().get_ttl(uuid) == -1
        return uuid if VconRedis().set_expiry(uuid, 40) else ""

    await scene.start(configured(links=[link(expires)], storages=[storage()], egress=()))
    [vcon_uuid] = await scene.feed()
    assert (await scene.ended()).status == "done"
    assert during == [-1, -1, -1]
    assert 0 < int(client.ttl(f"vcon:{vcon_uuid}")) <= 40


async def test_who_is_not_in_the_sample_is_halted(scene: Scene):
    """As any link halts: no storage, no egress."""
    none = link(sampler.run, options={"value": 0}, only_through_lib=True)
    await scene.start(configured(links=[none]))
    await scene.feed()
    assert (await scene.ended()).status == "halted"
    assert scene.elements("out") == []


async def test_a_delay_waits_for_its_time(monkeypatch: pytest.MonkeyPatch):
    """Never for less than nothing."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(delay.asyncio, "sleep", sleep)
    for seconds in ("0.5", -3):
        assert await delay.run("uuid", "wait", {"seconds": seconds}) == "uuid"
    assert waited == [0.5, 0]


async def test_the_queue_of_vcon_server(redis: RedisConnection, client: Redis):
    """Its methods by their names, from a thread and on the loop."""
    queue = VconQueue(client)
    uuids = [new_uuid() for _ in range(3)]

    def from_a_thread() -> None:
        assert queue.enqueue("list", uuids[0]) == 1
        assert queue.enqueue_front("list", uuids[1]) == 2
        assert queue.queue_length("list") == 2
        assert queue.dequeue(["empty", "list"], timeout=1) == ("list", uuids[1])
        assert queue.dequeue(["empty"], timeout=0.01) is None
        queue.enqueue_dlq("in", uuids[2])
        client.json().set(f"vcon:{uuids[0]}", ".", {})
        assert queue.set_vcon_ttl(uuids[0], 60)
        assert not queue.set_vcon_ttl(uuids[1], 60)

    await asyncio.to_thread(from_a_thread)
    assert client.lrange("list", 0, -1) == [uuids[0]]
    assert await queue.enqueue_async(client, "list", *uuids[1:]) == 3
    assert await queue.queue_length_async(client, "list") == 3
    assert await queue.dequeue_dlq_async(client, "in") == uuids[2]
    assert await queue.dequeue_dlq_async(client, "in") is None
