"""A plugin that asks for a vCon which Redis no longer has."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from redis import Redis

from lib.vcon_redis import AsyncVconRedis, VconRedis
from pipeline.config.parser import Chain, PipelineConfig, StorageSpec
from pipeline.live_config import Configuration
from pipeline.plugins.loader import Plugins
from pipeline.redis_client import client as connection
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.calls import PluginCalls
from pipeline.runs.plan import Progress
from pipeline.runs.queues import Claim
from pipeline.runs.run_state import RunState, current_run
from pipeline.runs.vcon_store import VconStore
from pipeline.storages import storage_fallback
from pipeline.storages.lookup import VconLookup
from pipeline.storages.storage_fallback import StorageFallback
from storage import file
from tests.emptying import empty
from tests.integration.support.pipeline_fixtures import a_vcon, new_uuid

EXPIRY = 600


@pytest.fixture
async def stored(
    redis: RedisConnection, client: Redis, tmp_path: Path
) -> AsyncIterator[dict[str, Any]]:
    """A vCon that only the second of two storages has."""
    options = {"path": str(tmp_path / "files")}
    storages = {
        "empty": StorageSpec("empty", "storage.file", options={"path": str(tmp_path / "empty")}),
        "files": StorageSpec("files", "storage.file", options=options),
    }
    connection.install(redis)
    configuration = Configuration(PipelineConfig(chains={}, storages=storages), Plugins())
    calls = PluginCalls(2, redis)
    finder = VconLookup(configuration, VconStore(redis), calls, EXPIRY)
    storage_fallback.install(StorageFallback(finder, asyncio.get_running_loop()))
    vcon = a_vcon()
    await VconStore(redis).put(vcon)
    await asyncio.to_thread(file.save, vcon["uuid"], options)
    empty(client)
    yield vcon
    calls.close()
    storage_fallback._installed.clear()
    connection._installed.clear()


def read_in_thread(vcon_uuid: str) -> Any:
    """What a sync link gets."""
    return asyncio.to_thread(VconRedis().get_vcon_dict, vcon_uuid)


def read_on_the_loop(vcon_uuid: str) -> Any:
    """What an async link gets."""
    return AsyncVconRedis().get_vcon_dict(vcon_uuid)


def read_on_a_loop_of_its_own(vcon_uuid: str) -> Any:
    """What a sync link gets that calls `asyncio.run`."""
    return asyncio.to_thread(lambda: asyncio.run(AsyncVconRedis().get_vcon_dict(vcon_uuid)))


@pytest.mark.parametrize("read", [read_in_thread, read_on_the_loop, read_on_a_loop_of_its_own])
async def test_it_comes_from_the_storage_that_has_it(
    read: Any, stored: dict[str, Any], client: Redis
) -> None:
    """And is in Redis again, for a while; an unknown vCon is None."""
    assert await read(stored["uuid"]) == stored
    assert 0 < client.ttl(keys.vcon(stored["uuid"])) <= EXPIRY
    assert await read(new_uuid()) is None


@pytest.mark.parametrize("read", [read_in_thread, read_on_the_loop, read_on_a_loop_of_its_own])
async def test_the_vcon_of_the_plugins_own_run_does_not(read: Any, stored: dict[str, Any]) -> None:
    """An older copy would undo what the links before have added: a miss stays a miss."""
    uuid = stored["uuid"]
    run = RunState(
        claim=Claim("in", uuid, uuid, "run-1"),
        chain=Chain("main"),
        plugins=Plugins(),
        worker="w-1",
        config_hash="",
        started_at=datetime.now(UTC),
        progress=Progress(uuid),
    )
    token = current_run.set(run)
    assert await read(uuid) is None
    current_run.reset(token)
    assert await read(uuid) == stored


async def test_a_plugin_that_waits_on_the_event_loop_gets_nothing(stored: dict[str, Any]) -> None:
    """Waiting would block the event loop; the asynchronous class is for it."""
    assert VconRedis().get_vcon_dict(stored["uuid"]) is None
    assert await AsyncVconRedis().get_vcon_dict(stored["uuid"]) == stored


@pytest.fixture
def shelf(stored: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The only storage of the configuration, with a `get` of the test's."""
    module = ModuleType("shelf_elsewhere")
    monkeypatch.setattr(module, "save", lambda vcon_uuid, opts: None, raising=False)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    storages = {"shelf": StorageSpec("shelf", module.__name__)}
    configuration = storage_fallback._installed[0]._lookup._configuration
    monkeypatch.setattr(configuration, "config", PipelineConfig(chains={}, storages=storages))
    return module


async def test_a_storage_that_looks_into_redis_itself_is_not_asked_again(shelf: Any) -> None:
    """It would wait for itself."""
    asked: list[str] = []

    def get(vcon_uuid: str, opts: Any) -> Any:
        asked.append(vcon_uuid)
        return VconRedis().get_vcon_dict(vcon_uuid)

    shelf.get, uuid = get, new_uuid()
    assert await read_in_thread(uuid) is None
    assert asked == [uuid]


async def test_an_async_storage_is_asked_on_the_workers_loop(shelf: Any) -> None:
    """Whichever loop the plugin is on: the storage's connections belong to that one."""
    loops = []

    async def get(vcon_uuid: str, opts: Any) -> Any:
        loops.append(asyncio.get_running_loop())

    async def save(vcon_uuid: str, opts: Any) -> None:
        """Does nothing."""

    shelf.get, shelf.save = get, save
    assert await read_on_a_loop_of_its_own(new_uuid()) is None
    assert loops == [asyncio.get_running_loop()]
