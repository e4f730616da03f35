"""vcon-server's library beside `lib.vcon_redis`, as a plugin written for it uses it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from core.observability.metrics import PLUGINS
from devstack.testing import PluginBench, sample_vcon
from lib import listen_list, process_utils, queue_metrics
from lib.vcon_server.storage_base import Storage
from pipeline.config import yaml_file
from pipeline.live_config import Configuration
from pipeline.plugins.loader import Plugins
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.calls import PluginCalls
from pipeline.runs.vcon_store import VconStore
from pipeline.storages import storage_fallback
from pipeline.storages.lookup import VconLookup
from pipeline.storages.storage_fallback import StorageFallback
from tests.plugins.scene import PLUGINS as MODULES

FILE = """
storages:
  shelf: {module: storage.file, options: {path: "${SHELF}"}}
chains:
  main: {ingress_lists: [in], storages: [shelf]}
ingress_auth: {in: partner-key-number-1}
"""


@pytest.fixture
def bench(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PluginBench]:
    """A bench that finds the plugin, and a configuration."""
    monkeypatch.syspath_prepend(MODULES / "old-habits")
    (path := tmp_path / "config.yml").write_text(FILE)
    monkeypatch.setenv("CONSERVER_CONFIG_FILE", str(path))
    monkeypatch.setenv("SHELF", str(tmp_path / "shelf"))
    monkeypatch.setattr("lib.vcon_server.settings._host", [])
    monkeypatch.setattr("lib.vcon_server.config._read", [yaml_file.document])
    monkeypatch.setattr("pipeline.config.yaml_file._in_force", [])
    monkeypatch.setattr("pipeline.storages.storage_fallback._installed", [])
    with PluginBench(redis_url) as bench:
        yield bench
    sys.modules.pop("old_library", None)


def test_a_link_that_uses_all_of_it(bench: PluginBench) -> None:
    """It finds what it finds there: its configuration filled, its storage by name, its lists."""
    vcon = sample_vcon()
    after = bench.run_link("old_library", vcon, {}).vcon
    assert after is not None
    told: dict[str, Any] = json.loads(after["attachments"][0]["body"])
    uuid = vcon["uuid"]
    assert told == {
        "stored": True,
        "there": True,
        "listed": [uuid],
        "deleted": [True, False],
        "gone": None,
        "workers": [1, True],
        "parallel": True,
        "start": None,
        "letters": "DLQ:in",
        "keys": {"in": "partner-key-number-1"},
        "followers": {},
        "tel": "+15550100",
        "names": ["vcons", "x-conserver-api-token", "vcon"],
        "expiry": 3600,
    }


@pytest.mark.usefixtures("bench")
def test_its_gauges_are_published(redis_url: str) -> None:
    """The length of each list and of its dead letters, and Redis' memory."""
    with Redis.from_url(redis_url, decode_responses=True) as client:
        queue_metrics.register_ingress_list_length_gauge(client)
        queue_metrics.register_redis_memory_gauge(client)
        client.rpush("in", "a", "b")
        client.rpush("DLQ:in", "c")
        families = {each.name: each for each in PLUGINS.collect()}
        client.delete("in", "DLQ:in")
    lengths = families["conserver_ingress_list_length"].samples
    assert {(each.labels["kind"], each.value) for each in lengths} == {("ingress", 2), ("dlq", 1)}
    queue_metrics.register_ingress_list_length_gauge(None)  # a client that fails: no samples
    left = {each.name: each.samples for each in PLUGINS.collect()}
    assert left["conserver_ingress_list_length"] == []
    assert families["conserver_redis_memory_used_bytes"].samples[0].value > 0


LATER = """
default_options = {"place": "default", "more": 1}
async def save(vcon_uuid, opts): pass
async def get(vcon_uuid, opts): return {"uuid": vcon_uuid, "from": opts["place"]}
"""


@pytest.fixture
def later(bench: PluginBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The configuration, with a storage whose functions are async and which cannot delete."""
    (tmp_path / "async_shelf.py").write_text(LATER)
    monkeypatch.syspath_prepend(tmp_path)
    entry = "  later: {module: async_shelf, options: {place: here}}\n"
    (path := tmp_path / "config.yml").write_text(FILE.replace("storages:\n", f"storages:\n{entry}"))
    yield path
    sys.modules.pop("async_shelf", None)


def test_an_async_storage_from_a_thread(later: Path) -> None:
    """It runs to its end; its options are over its defaults."""
    storage = Storage("later")
    assert storage.options == {"place": "here", "more": 1}
    assert storage.get("u") == {"uuid": "u", "from": "here"}
    assert (storage.save("u"), storage.delete("u")) == (None, False)


async def test_in_a_worker_it_is_the_loaded_storage(later: Path, redis_url: str) -> None:
    """With the options as they were checked; on the loop itself they cannot be waited for."""
    config = Configuration(yaml_file.read(later, {"SHELF": "/shelf"}, weak_keys=True), Plugins())
    redis = RedisConnection(redis_url)
    calls = PluginCalls(1, redis)
    lookup = VconLookup(config, VconStore(redis), calls, 60)
    storage_fallback.install(StorageFallback(lookup, asyncio.get_running_loop()))
    try:
        shelf = await asyncio.to_thread(Storage, "shelf")
        assert str(shelf.options.path) == "/shelf"
        stored = await asyncio.to_thread(lambda: Storage("later").get("u"))
        assert stored == await Storage("later").get("u") == {"uuid": "u", "from": "here"}
        await asyncio.to_thread(
            later.write_text, FILE.replace('path: "${SHELF}"', "connection: crm")
        )
        with pytest.raises(ValueError, match="`connection` is known in threads of a worker only"):
            Storage("shelf")
    finally:
        calls.close()
        await redis.close()


async def test_elements_of_a_list(redis_url: str) -> None:
    """One after the other, for as long as the caller goes on."""
    async with AsyncRedis.from_url(redis_url, decode_responses=True) as client:
        await client.rpush("old", "a", "b")
        elements = listen_list.listen_list(client, "old")
        assert [await anext(elements), await anext(elements)] == ["a", "b"]
        await elements.aclose()  # type: ignore[attr-defined]


async def _touch(path: str) -> None:
    await asyncio.to_thread(Path(path).touch)


def test_a_process_beside_a_plugin(tmp_path: Path) -> None:
    """It runs an async function, and ends."""
    process = process_utils.start_async_process(_touch, str(tmp_path / "there"))
    process.join()
    assert (process.exitcode, process.daemon) == (0, True)
    assert (tmp_path / "there").exists()
    process.close()
