"""A vCon with a recording goes through a chain; its media are beside the document meanwhile."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
from redis import Redis

from lib.vcon_redis import AsyncVconRedis, VconRedis
from pipeline.admin.vcon_index import VconIndex
from pipeline.live_config import Configuration
from pipeline.redis_client.client import RedisConnection
from pipeline.storages.lookup import VconLookup
from pipeline.vcon_server.texts import VconTexts
from tests.integration.media.media_scene import (
    AUDIO,
    beside,
    in_redis,
    is_stripped,
    kind,
    more,
    offloaded,
    recorded,
    s3_store,
    taken_in,
    workers,
)
from tests.integration.support.pipeline_fixtures import configured, link, storage

__all__ = ["kind", "more", "s3_store"]


async def test_the_whole_way(
    redis: RedisConnection, client: Redis, kind: str, more: dict[str, Any]
) -> None:
    """Links and storages find the whole vCon; Redis does not have it, and has what a link adds."""
    seen, vcon = [], recorded()

    def adds(vcon_uuid: str, *_: Any) -> str:
        document = VconRedis().get_vcon_dict(vcon_uuid)
        assert document is not None
        document["attachments"].append({"type": "added", "body": "more" * 5000, "encoding": "none"})
        VconRedis().store_vcon_dict(document)
        return vcon_uuid

    async def looks(vcon_uuid: str, *_: Any) -> str:
        seen.append(await AsyncVconRedis().get_vcon_dict(vcon_uuid))
        return vcon_uuid

    def reads_redis(vcon_uuid: str, *_: Any) -> str:
        seen.append(orjson.loads(in_redis(client, vcon_uuid)))
        return vcon_uuid

    def save(vcon_uuid: str, _options: Any) -> None:
        seen.append(VconRedis().get_vcon_dict(vcon_uuid))

    spec, shelf = storage(save)
    links = [
        link(adds, only_through_lib=True),
        link(looks, only_through_lib=True),
        link(reads_redis),
        link(adds, "again", only_through_lib=True),
    ]
    chain = configured(links=links, storages=[(spec, replace(shelf, only_through_lib=True))])
    async with beside(kind, redis, more) as media:
        async with workers(redis, client) as scene:
            ingested = await taken_in(scene, vcon, "in")
            assert orjson.loads(ingested.document)["dialog"] == vcon["dialog"]
            assert is_stripped(client, vcon["uuid"])
            crew = await scene.start(chain)
            assert (await scene.ended()).status == "done"
            assert is_stripped(client, vcon["uuid"])
            assert "moremore" not in in_redis(client, vcon["uuid"])
            await crew.stop()
            repeated = await taken_in(scene, vcon | {"subject": "other"}, "in")
            assert repeated.outcome == "replaced"
        names = await media.stores[kind].names(vcon["uuid"])
    assert all(each["dialog"] == vcon["dialog"] for each in seen)
    assert [len(each["attachments"]) for each in seen] == [2, 2, 3]
    assert len(names) == 5  # what came in, what was added once, and what came in again


async def test_every_reader_and_the_end(
    redis: RedisConnection, client: Redis, kind: str, more: dict[str, Any]
) -> None:
    """GetVcon and HTTP give the whole vCon, the same again is a duplicate; deletion takes all."""
    vcon = recorded()
    nothing = Configuration(None, None)  # type: ignore[arg-type]
    async with (
        beside(kind, redis, more) as media,
        workers(redis, client) as scene,
    ):
        assert (await taken_in(scene, vcon, "in")).outcome == "new"
        names = await media.stores[kind].names(vcon["uuid"])
        assert len(names) == 2
        bytes_in_flight = client.hget(f"pc:about:{vcon['uuid']}", "bytes")
        assert int(bytes_in_flight or 0) > 2 * len(AUDIO)  # for the bound of a worker's memory
        again = {name: vcon[name] for name in reversed(vcon)}
        assert (await taken_in(scene, again, "in")).outcome == "duplicate"
        assert sorted(await media.stores[kind].names(vcon["uuid"])) == sorted(names)
        lookup = VconLookup(nothing, scene.store, None, 60)  # type: ignore[arg-type]
        assert (await lookup.find(vcon["uuid"]))["dialog"] == vcon["dialog"]
        texts = VconTexts(scene.store, lookup, "0.4.0-text", offloaded)
        assert orjson.loads(await texts.text(vcon["uuid"])) == await lookup.find(vcon["uuid"])
        assert AUDIO not in in_redis(client, vcon["uuid"])
        assert await VconIndex(redis, "vcons", run_expiry=60).delete(vcon["uuid"], ["in"])
        assert await media.stores[kind].names(vcon["uuid"]) == []


async def test_a_storage_that_reads_redis_itself(redis: RedisConnection, client: Redis) -> None:
    """It finds the whole document, also right after links that went through `lib`."""
    found: list[str] = []

    def touch(vcon_uuid: str, *_: Any) -> str:
        document = VconRedis().get_vcon_dict(vcon_uuid) or {}
        VconRedis().store_vcon_dict(document | {"subject": "touched"})
        return vcon_uuid

    def look(vcon_uuid: str, *_: Any) -> str:
        return vcon_uuid if VconRedis().get_vcon_dict(vcon_uuid) else ""

    def save(vcon_uuid: str, _options: Any) -> None:
        found.append(in_redis(client, vcon_uuid))

    links = [link(touch, only_through_lib=True), link(look, only_through_lib=True)]
    async with beside("redis", redis), workers(redis, client) as scene:
        for some in (links, links[1:]):
            vcon = recorded()
            await taken_in(scene, vcon, "in")
            assert is_stripped(client, vcon["uuid"])
            crew = await scene.start(configured(links=some, storages=[storage(save)]))
            assert (await scene.ended()).status == "done"
            await crew.stop()
            assert orjson.loads(found.pop())["dialog"] == vcon["dialog"]
