"""Finding vCons: in Redis first, then in the storages, none of which is trusted blindly."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from typing import Any

import orjson
import pytest

from core.errors import InvalidError, PluginFailedError, UnknownNameError
from pipeline.config.parser import StorageSpec
from pipeline.plugins.loader import LoadedStorage
from pipeline.redis_client import keys
from pipeline.runs.calls import PluginCalls
from pipeline.storages import lookup as module
from pipeline.storages.lookup import VconLookup
from tests.integration.support.pipeline_fixtures import Scene, a_vcon, configured, new_uuid, storage


class Shelf:
    """A storage that has what it is given, and notes who asks."""

    def __init__(self, *vcons: dict[str, Any]) -> None:
        self.vcons = {vcon["uuid"]: vcon for vcon in vcons}
        self.asked: list[str] = []

    def get(self, vcon_uuid: str, _options: Any) -> Any:
        """The storage's `get`."""
        self.asked.append(vcon_uuid)
        return self.vcons.get(vcon_uuid)


@pytest.fixture
def find(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    """Makes a finder over storages, given by name as their `get` functions."""
    pools = []

    def make(**gets: Any) -> VconLookup:
        storages = [storage(name=name, get=get) for name, get in gets.items()]
        loaded = {spec.name: each for spec, each in storages}

        def load(spec: StorageSpec) -> LoadedStorage:
            return loaded[spec.name]

        monkeypatch.setattr(module, "load_storage", load)
        calls = PluginCalls(2, scene.redis)
        pools.append(calls)
        return VconLookup(configured(storages=storages), scene.store, calls, 100)

    yield make
    for pool in pools:
        pool.close()


def fails(_uuid: str, _options: Any) -> Any:
    """A storage that is down."""
    raise OSError("no disk")


async def test_what_redis_has_is_answered_without_asking_anybody(scene: Scene, find: Any):
    """The storages are not asked."""
    shelf, vcon = Shelf(), a_vcon()
    await scene.store.put(vcon)
    assert await find(shelf=shelf.get).find(vcon["uuid"]) == vcon
    assert shelf.asked == []


@pytest.mark.parametrize("text", [orjson.dumps, lambda vcon: gzip.compress(orjson.dumps(vcon))])
async def test_a_storage_may_answer_with_json_or_gzip_of_it(find: Any, text: Any):
    """As bytes, the way it lies there."""
    vcon = a_vcon()
    assert await find(shelf=lambda _uuid, _options: text(vcon)).find(vcon["uuid"]) == vcon


async def test_gzip_from_a_storage_is_unpacked_up_to_a_limit(find: Any):
    """16 times what is accepted, since links add to a vCon; more is a storage that fails."""
    vcon = a_vcon(subject="x" * 2_000)
    packed = gzip.compress(orjson.dumps(vcon))
    finder = find(shelf=lambda _uuid, _options: packed)
    finder._most_bytes = 2_000
    with pytest.raises(PluginFailedError, match="more than 2000 bytes unpacked"):
        await finder.find_in("shelf", vcon["uuid"])


async def test_a_storage_that_many_ask_at_once_is_loaded_once(
    find: Any, monkeypatch: pytest.MonkeyPatch
):
    """Each gets its answer from the same."""
    vcon, loads = a_vcon(), []
    finder = find(shelf=Shelf(vcon).get)
    load = module.load_storage
    monkeypatch.setattr(module, "load_storage", lambda spec: loads.append(spec.name) or load(spec))
    found = await asyncio.gather(*(finder.find(vcon["uuid"]) for _ in range(20)))
    assert (found, loads) == ([vcon] * 20, ["shelf"])


async def test_storages_are_asked_in_the_order_of_the_configuration(find: Any):
    """The first that has the vCon answers; those behind it are not asked."""
    vcon = a_vcon(subject="second")
    empty, second, third = Shelf(), Shelf(vcon), Shelf(a_vcon(vcon["uuid"], subject="third"))
    found = await find(a=empty.get, b=second.get, c=third.get).find(vcon["uuid"])
    assert found["subject"] == "second"
    assert (empty.asked, third.asked) == ([vcon["uuid"]], [])


@pytest.mark.parametrize("spelling", [str.upper, "urn:uuid:{}".format, str.lower])
async def test_any_spelling_of_the_uuid_will_do(scene: Scene, find: Any, spelling: Any):
    """Redis and storages are asked for the canonical form."""
    vcon, stored = a_vcon(), a_vcon()
    await scene.store.put(vcon)
    shelf = Shelf(stored)
    finder = find(shelf=shelf.get)
    assert await finder.find(spelling(vcon["uuid"])) == vcon
    assert await finder.find_in("shelf", spelling(stored["uuid"])) == stored


@pytest.mark.parametrize("encode", [json.dumps, lambda vcon: json.dumps(vcon).encode()])
async def test_a_storage_may_answer_with_text(find: Any, encode: Any):
    """JSON as str or bytes is read."""
    vcon = a_vcon()
    assert await find(shelf=lambda *_: encode(vcon)).find(vcon["uuid"]) == vcon


@pytest.mark.parametrize(
    "answer",
    [a_vcon(), {"no": "uuid"}, [1], 7, "[]", {"uuid": None}],
    ids=["another vCon", "no uuid", "list", "number", "text", "null"],
)
async def test_a_wrong_answer_is_not_believed(scene: Scene, find: Any, answer: Any):
    """A storage that answers with something else has not got the vCon, and nothing is cached."""
    wanted = new_uuid()
    finder = find(shelf=lambda *_: answer)
    with pytest.raises(UnknownNameError):
        await finder.find(wanted)
    with pytest.raises(UnknownNameError):
        await finder.bring_back(wanted)
    with pytest.raises(UnknownNameError, match="storage shelf"):
        await finder.find_in("shelf", wanted)
    assert scene.client.keys("*") == []


@pytest.mark.parametrize("broken", [fails, lambda *_: "{not json", lambda *_: b"\xff"])
async def test_a_storage_that_fails_is_passed_over(
    find: Any, broken: Any, caplog: pytest.LogCaptureFixture
):
    """The next one is asked; a log line names the one that failed."""
    vcon = a_vcon()
    with caplog.at_level(logging.WARNING, "pipeline.storages.lookup"):
        assert await find(a=broken, b=Shelf(vcon).get).find(vcon["uuid"]) == vcon
    assert "storage a failed" in str(caplog.records[0].__dict__["error"])


async def test_a_storage_without_get_is_passed_over(find: Any):
    """It cannot be read from, which is no failure."""
    vcon = a_vcon()
    assert await find(a=None, b=Shelf(vcon).get).find(vcon["uuid"]) == vcon


async def test_neither_redis_nor_a_storage_has_it(find: Any):
    """The answer names the vCon."""
    wanted = new_uuid()
    with pytest.raises(UnknownNameError, match=f"Unknown vCon: {wanted}"):
        await find(a=Shelf().get, b=fails).find(wanted)


# --- from one storage


async def test_one_storage_is_asked_even_if_redis_has_it(scene: Scene, find: Any):
    """`find_in` answers what stands in that storage, not what stands in Redis."""
    vcon = a_vcon()
    await scene.store.put(vcon | {"subject": "newer"})
    assert await find(shelf=Shelf(vcon).get).find_in("shelf", vcon["uuid"]) == vcon


async def test_what_can_go_wrong_with_one_storage_is_told(find: Any):
    """Unknown, not readable, empty and failing are four different answers."""
    finder = find(a=Shelf().get, b=None, c=fails, d=lambda *_: "{not json")
    wanted = new_uuid()
    with pytest.raises(UnknownNameError, match="Unknown storage: x; known: a, b, c, d"):
        await finder.find_in("x", wanted)
    with pytest.raises(InvalidError, match=r"b cannot be read from"):
        await finder.find_in("b", wanted)
    with pytest.raises(UnknownNameError, match=f"Unknown vCon in storage a: {wanted}"):
        await finder.find_in("a", wanted)
    with pytest.raises(PluginFailedError, match="storage c failed: OSError: no disk"):
        await finder.find_in("c", wanted)
    with pytest.raises(PluginFailedError, match="storage d failed"):
        await finder.find_in("d", wanted)


# --- back into Redis


async def test_bringing_back_puts_it_into_redis_for_a_while(scene: Scene, find: Any):
    """The document stands in Redis, in today's form, with the time to live of a cached one."""
    vcon_uuid = new_uuid()
    old = {
        "vcon": "0.0.1",
        "uuid": vcon_uuid.upper(),
        "created_at": "2026-11-21T12:00:00Z",
        "parties": [],
        "attachments": [{"type": "note", "body": "x", "encoding": "none"}],
    }
    assert await find(shelf=lambda *_: old).bring_back(vcon_uuid.upper()) == vcon_uuid
    assert (await scene.store.get(vcon_uuid) or {})["attachments"][0]["purpose"] == "note"
    assert 0 < scene.client.ttl(keys.vcon(vcon_uuid)) <= 100


async def test_bringing_back_leaves_what_is_there(scene: Scene, find: Any):
    """Neither the document in Redis nor its time to live changes."""
    vcon = a_vcon(subject="newer")
    await scene.store.put(vcon)
    shelf = Shelf(a_vcon(vcon["uuid"], subject="older"))
    assert await find(shelf=shelf.get).bring_back(vcon["uuid"]) == vcon["uuid"]
    assert await scene.store.get(vcon["uuid"]) == vcon
    assert scene.client.ttl(keys.vcon(vcon["uuid"])) == -1


async def test_bringing_back_never_overwrites_what_came_in_meanwhile(scene: Scene, find: Any):
    """A vCon that is ingested while a storage is read stays, and does not begin to expire."""
    vcon_uuid = new_uuid()
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_uuid: str, _options: Any) -> Any:
        asked.set()
        await go_on.wait()
        return a_vcon(vcon_uuid, subject="older")

    async def nothing(*_: Any) -> None:
        return None

    spec, loaded = storage(nothing, "shelf", get=slow)
    finder = find()
    finder._configuration = configured(storages=[(spec, loaded)])
    finder._loaded["shelf"] = (spec, loaded)
    bringing = asyncio.create_task(finder.bring_back(vcon_uuid))
    await asked.wait()
    await scene.store.put(a_vcon(vcon_uuid, subject="newer"))
    go_on.set()
    await bringing
    assert (await scene.store.get(vcon_uuid) or {})["subject"] == "newer"
    assert scene.client.ttl(keys.vcon(vcon_uuid)) == -1
