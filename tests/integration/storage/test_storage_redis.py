"""The storage in the service's own Redis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from redis import Redis

from pipeline.runs.vcon_store import VconStore
from storage import redis_storage
from tests.plugins.scene import TAGGED, canonical, connected, sample_names

VCON = canonical(TAGGED)
UUID = VCON["uuid"]
MISSING = "00000000-0000-8000-8000-000000000000"


@pytest.fixture(autouse=True)
async def store(redis_url: str) -> AsyncIterator[VconStore]:
    """A store with one vCon behind the connection that plugins find."""
    async with connected(redis_url) as store:
        await store.put(VCON)
        yield store


async def test_a_vcon_is_kept_for_a_time_under_its_own_name(redis_url: str) -> None:
    """In vcon-server's form; a second save starts the time anew."""
    with Redis.from_url(redis_url) as client:
        for expires in (1000, 5000):
            options = {"prefix": "shelf", "expires": expires}
            await asyncio.to_thread(redis_storage.save, UUID, options)
            assert json.loads(client.get(f"shelf:{UUID}")) == VCON
            assert expires - 100 < client.ttl(f"shelf:{UUID}") <= expires


async def test_every_sample_comes_back(store: VconStore) -> None:
    """As it was."""
    for before in map(canonical, sample_names()):
        await store.put(before)
        await asyncio.to_thread(redis_storage.save, before["uuid"])
        assert await asyncio.to_thread(redis_storage.get, before["uuid"]) == before


async def test_delete_and_get_say_whether_there_was_anything() -> None:
    """True once, then False; a vCon, then None."""
    await asyncio.to_thread(redis_storage.save, UUID)
    found = [await asyncio.to_thread(redis_storage.delete, UUID) for _ in range(2)]
    assert found == [True, False]
    assert await asyncio.to_thread(redis_storage.get, UUID) is None


async def test_a_vcon_that_is_not_in_redis_is_an_error() -> None:
    """Which a chain takes for a failed save."""
    with pytest.raises(LookupError, match=MISSING):
        await asyncio.to_thread(redis_storage.save, MISSING)
