"""The tag link on real vCons, and what others make of the tags it leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from lib.vcon_redis import VconRedis
from links.tag import run
from pipeline.runs.vcon_store import VconStore
from tests.plugins.scene import SAMPLES, TAGGED, canonical, connected, tags

OPTIONS: dict[str, Any] = {"tags": {"reviewed": "yes", "floor": 2}}


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[VconStore]:
    """An empty store behind the connection that plugins find."""
    async with connected(redis_url) as store:
        yield store


@pytest.mark.parametrize("name", sorted(path.stem for path in SAMPLES.glob("*.json")))
async def test_every_sample_is_tagged_once_and_otherwise_left_as_it_is(
    store: VconStore, name: str
) -> None:
    """Running the link twice is like running it once."""
    before = canonical(name)
    await store.put(before)
    assert await run(before["uuid"], "tag", OPTIONS) == before["uuid"]
    once = await store.get(before["uuid"])
    assert await run(before["uuid"], "tag", OPTIONS) == before["uuid"]
    assert await store.get(before["uuid"]) == once
    assert tags(once) == [*tags(before), "reviewed:yes", "floor:2"]
    assert {**once, "attachments": []} == {**before, "attachments": []}
    others = [entry for entry in once["attachments"] if entry["purpose"] != "tags"]
    assert others == [entry for entry in before["attachments"] if entry["purpose"] != "tags"]


async def test_the_vcon_library_reads_and_adds_to_the_tags(store: VconStore) -> None:
    """Plugins that use `get_tag` and `add_tag` work on what the link leaves, and it on theirs."""
    redis, uuid = VconRedis(), canonical("minimal-0.0.1")["uuid"]
    await store.put(canonical("minimal-0.0.1"))
    await run(uuid, "tag", {"tags": ["urgent"]})
    vcon = redis.get_vcon(uuid)
    assert vcon.get_tag("urgent") == "urgent"
    vcon.add_tag("by", "plugin")
    redis.store_vcon(vcon)
    await run(uuid, "tag", {"tags": {"by": "plugin", "last": "one"}})
    assert tags(await store.get(uuid)) == ["urgent:urgent", "by:plugin", "last:one"]
    assert redis.get_vcon(uuid).get_tag("by") == "plugin"
    assert redis.get_vcon(uuid).get_tag("last") == "one"


async def test_without_options_the_default_ones_count(store: VconStore) -> None:
    """They are those of vcon-server."""
    await store.put(canonical(TAGGED))
    uuid = canonical(TAGGED)["uuid"]
    await run(uuid, "tag")
    assert tags(await store.get(uuid))[-2:] == ["iron:iron", "maiden:maiden"]


async def test_a_vcon_that_is_not_there_ends_the_run(store: VconStore) -> None:
    """Nothing is made up in its place."""
    uuid = "00000000-0000-8000-8000-000000000000"
    assert await run(uuid, "tag", OPTIONS) is None
    assert await store.get(uuid) is None
