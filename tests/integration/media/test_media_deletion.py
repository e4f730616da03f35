"""A deletion removes all media of its vCon, named in the document or not, and of no later one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis import Redis

from pipeline.admin.vcon_index import VconIndex, VconRemoval
from pipeline.media.media import Media
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.vcon_store import VconStore
from tests.integration.media.media_scene import (
    beside,
    is_stripped,
    kind,
    more,
    recorded,
    s3_store,
    taken_in,
    workers,
)
from tests.integration.support.pipeline_fixtures import configured, link

__all__ = ["kind", "more", "s3_store"]


def index_of(redis: RedisConnection) -> VconIndex:
    """The index, by which every deletion goes."""
    return VconIndex(redis, "vcons", run_expiry=60)


async def test_media_that_the_document_does_not_name_go_with_it(
    redis: RedisConnection, client: Redis, kind: str, more: dict[str, Any]
) -> None:
    """Written back for a link, or replaced; also after MEDIA_STORE was unset."""
    back, replaced = recorded(), recorded()
    async with beside(kind, redis, more) as media, workers(redis, client) as scene:
        await taken_in(scene, back, "in")
        await scene.start(configured(links=[link(lambda vcon_uuid, *_: vcon_uuid)]))
        assert (await scene.ended()).status == "done"
        assert not is_stripped(client, back["uuid"])
        await VconStore(redis).put(replaced)
        await VconStore(redis).put(replaced | {"dialog": []})
        store = media.stores[kind]
        assert await index_of(redis).delete(back["uuid"], ["in"])
        assert await store.names(back["uuid"]) == []
        assert client.zscore("pc:media", back["uuid"]) is None
    async with beside(None, redis, more):
        assert await index_of(redis).delete(replaced["uuid"], ["in"])
        assert await store.names(replaced["uuid"]) == []
    assert client.keys("pc:media*") == []


async def test_replicas_that_differ_keep_the_register(
    redis: RedisConnection, client: Redis
) -> None:
    """Another replica may have bodies of the vCon in a store that is unknown here."""
    client.sadd("pc:processes", "other")
    client.hset("pc:process:other", mapping={"seen": 1, "media": '"file, from 1 bytes"'})
    async with beside("redis", redis) as media:
        vcon = recorded()
        await VconStore(redis).put(vcon)
        assert await index_of(redis).delete(vcon["uuid"], [])
        assert await media.stores["redis"].names(vcon["uuid"]) == []
        assert client.zscore("pc:media", vcon["uuid"]) is not None


@pytest.mark.parametrize("moment", ["between", "after"])
async def test_a_vcon_that_comes_in_again_keeps_its_media(
    redis: RedisConnection, client: Redis, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Its bodies are there when the deletion looks, its document comes in between, or after."""
    wrote, may_go_on = asyncio.Event(), asyncio.Event()
    plain_write, plain_remove = Media.write, VconRemoval.remove

    async def write(*arguments: Any) -> int:
        second = await plain_write(*arguments)
        wrote.set()
        await may_go_on.wait()
        return second

    async def remove(*arguments: Any) -> bool:
        was_there = await plain_remove(*arguments)
        if moment == "between":
            may_go_on.set()
            await again
        return was_there

    vcon = recorded()
    async with beside("redis", redis), workers(redis, client) as scene:
        await taken_in(scene, vcon)
        monkeypatch.setattr(Media, "write", write)
        monkeypatch.setattr(VconRemoval, "remove", remove)
        again = asyncio.create_task(taken_in(scene, vcon | {"subject": "again"}))
        await wrote.wait()
        await index_of(redis).delete(vcon["uuid"], [])
        may_go_on.set()
        await again
        assert is_stripped(client, vcon["uuid"])
        read = await VconStore(redis).get(vcon["uuid"])
        assert read is not None
        assert read["dialog"] == vcon["dialog"]
        assert client.zscore("pc:media", vcon["uuid"]) is not None
