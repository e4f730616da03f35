"""Keys of this service that get another type during a run: it waits, and nothing is charged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from lib.vcon_redis import AsyncVconRedis, VconRedis
from pipeline.redis_client import keys, own_keys
from pipeline.runs.run_state import current_run
from pipeline.worker import run_settler
from tests.integration.support.pipeline_fixtures import (
    PATIENCE,
    Scene,
    configured,
    link,
    storage,
    tracer,
)

pytestmark = pytest.mark.usefixtures("at_once", "often")

NEEDED = ["pc:locks", "pc:inflight:one", "pc:run:{run}"]
"""What a write of the run's vCon cannot do without."""
ALL = [
    *NEEDED,
    "pc:attempts:in",
    "pc:about:{vcon}",
    "pc:holds:{vcon}",
    "pc:waiting:{vcon}",
    "pc:cancel:{run}",
    "pc:step:{run}",
    "pc:death:{run}",
    "pc:worker:one",
    "pc:stalled:one",
    "pc:later",
    "pc:history",
    "pc:index",
    "pc:released",
    "pc:owners",
    "pc:tokens",
    "pc:workers",
    "pc:expiring",
    "vcons",
    "out",
    "pc:unread:out",
    "pc:again:out",
    "pc:missing:out",
    "DLQ:in",
    "pc:dead:DLQ:in",
    "pc:suspects:in",
    "context:in:{vcon}",
    "context:out:{vcon}",
    "in",
]


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are looked at again after a moment."""
    monkeypatch.setattr(own_keys, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(run_settler, "ASIDE_SECONDS", 0.01)


@pytest.fixture
async def waits() -> AsyncIterator[asyncio.Event]:
    """Set once a run waits for a key."""
    said, loop = asyncio.Event(), asyncio.get_running_loop()
    handler = logging.Handler()
    handler.emit = lambda _record: loop.call_soon_threadsafe(said.set) and None  # type: ignore[method-assign]
    log = logging.getLogger("pipeline.redis_client.own_keys")
    log.addHandler(handler)
    yield said
    log.removeHandler(handler)


class Taker:
    """Another program that takes one key while the first call of a plugin runs."""

    def __init__(self, scene: Scene, key: str) -> None:
        self._client, self._key, self.calls = scene.client, key, 0

    def take(self) -> None:
        """What stood there is kept, as by a program that renames what it finds."""
        self.calls += 1
        if self.calls > 1:
            return
        live = current_run.get()
        assert live is not None
        self._key = self._key.format(run=live.claim.run_id, vcon=live.claim.vcon_uuid)
        if self._client.exists(self._key):
            self._client.rename(self._key, "kept")
        self._client.xadd(self._key, {"another": "program's"})

    def give_back(self) -> None:
        """The key is this service's again."""
        self._client.delete(self._key)
        if self._client.exists("kept"):
            self._client.rename("kept", self._key)


def writes(vcon_uuid: str) -> None:
    """What a sync plugin does with a vCon."""
    vcons = VconRedis()
    document = vcons.get_vcon_dict(vcon_uuid)
    assert document is not None
    vcons.store_vcon_dict(document | {"subject": "written"})
    vcons.get_ttl(vcon_uuid)
    vcons.remove_expiry(vcon_uuid)


async def ends_uncharged(
    scene: Scene, waits: asyncio.Event, taker: Taker, changes: dict[str, Any]
) -> None:
    """One vCon: its key is taken, it waits or goes on, and ends well at its first attempt."""
    await scene.start(configured(max_attempts=2, **changes))
    [vcon_uuid] = await scene.feed()
    finished = asyncio.create_task(scene.finished())
    waiting = asyncio.create_task(waits.wait())
    aside = asyncio.create_task(_set_aside(scene, vcon_uuid))
    await asyncio.wait(
        [finished, waiting, aside], timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED
    )
    taker.give_back()
    ended = await finished
    waiting.cancel()
    aside.cancel()
    assert (ended.status, ended.claim.attempt, ended.run["error"]) == ("done", 1, None)
    assert scene.elements("DLQ:in") == []
    assert scene.client.json().get(keys.vcon(vcon_uuid), "$.subject") == ["written"]


async def _set_aside(scene: Scene, vcon_uuid: str) -> None:
    place = f"in\n{vcon_uuid}"
    while not _is_delayed(scene, place):  # noqa: ASYNC110 -- Redis tells of no change
        await asyncio.sleep(0.005)


def _is_delayed(scene: Scene, place: str) -> bool:
    is_ours = scene.client.type("pc:later") == "zset"
    return is_ours and scene.client.zscore("pc:later", place) is not None


@pytest.mark.parametrize("key", ALL)
async def test_a_sync_link_is_not_charged(scene: Scene, waits: asyncio.Event, key: str):
    """Whichever key it is; the run ends once the key is gone, if it needs it at all."""
    taker = Taker(scene, key)

    def run(vcon_uuid: str, _name: str, _options: Any) -> str:
        taker.take()
        writes(vcon_uuid)
        return vcon_uuid

    await ends_uncharged(scene, waits, taker, {"links": [link(run)]})


def _async_link(taker: Taker) -> dict[str, Any]:
    async def run(vcon_uuid: str, _name: str, _options: Any) -> str:
        taker.take()
        document = await AsyncVconRedis().get_vcon_dict(vcon_uuid)
        await AsyncVconRedis().store_vcon_dict((document or {}) | {"subject": "written"})
        return vcon_uuid

    return {"links": [link(run)]}


def _link_whose_write_waits(taker: Taker) -> dict[str, Any]:
    """The document is written by the service, before the next link runs."""

    def first(vcon_uuid: str, _name: str, _options: Any) -> str:
        taker.take()
        VconRedis().store_vcon_dict((VconRedis().get_vcon_dict(vcon_uuid) or {}) | {"subject": ""})
        return vcon_uuid

    def second(vcon_uuid: str, _name: str, _options: Any) -> str:
        writes(vcon_uuid)
        return vcon_uuid

    return {"links": [link(first, only_through_lib=True), link(second)]}


def _link_that_hides_it(taker: Taker) -> dict[str, Any]:
    """It takes the failure for a vCon that is none of its business, and halts the run."""

    def run(vcon_uuid: str, _name: str, _options: Any) -> str | None:
        taker.take()
        try:
            writes(vcon_uuid)
        except Exception:
            return None
        return vcon_uuid

    return {"links": [link(run)]}


def _storage(taker: Taker) -> dict[str, Any]:
    def save(vcon_uuid: str, _options: Any) -> None:
        taker.take()
        writes(vcon_uuid)

    return {"storages": [storage(save)]}


def _tracer(taker: Taker) -> dict[str, Any]:
    def trace(vcon_uuid: str, *_others: Any) -> None:
        taker.take()
        writes(vcon_uuid)

    async def run(vcon_uuid: str, _name: str, _options: Any) -> str:
        return vcon_uuid

    return {"links": [link(run)], "tracers": [tracer(trace, dlq_vcon_on_error=True)]}


PLACES = [_async_link, _link_whose_write_waits, _link_that_hides_it, _storage, _tracer]


@pytest.mark.parametrize("key", NEEDED)
@pytest.mark.parametrize("place", PLACES)
async def test_no_place_charges_it(
    scene: Scene, waits: asyncio.Event, place: Callable[[Taker], dict[str, Any]], key: str
):
    """Not even where a plugin hides the failure."""
    taker = Taker(scene, key)
    await ends_uncharged(scene, waits, taker, place(taker))


async def test_a_key_that_a_plugin_misuses_is_its_own_failure(scene: Scene):
    """The key is as it should be; only the command does not fit it."""

    def run(vcon_uuid: str, _name: str, _options: Any) -> str:
        scene.redis.command_from_thread("LPUSH", f"pc:about:{vcon_uuid}", 1)
        return vcon_uuid

    await scene.start(configured(links=[link(run)], max_attempts=2))
    [vcon_uuid] = await scene.feed()
    scene.client.hset(f"pc:about:{vcon_uuid}", "saved", 1)
    ended = await scene.finished()
    assert (ended.status, ended.claim.attempt) == ("failed", 2)


async def test_a_lease_outlives_a_key_of_another_type(scene: Scene):
    """It would lapse, and another worker be given the run as that of a dead one."""
    crew = await scene.start(configured(), lease_seconds=60)
    scene.client.delete(keys.worker("one"))
    scene.client.xadd(keys.worker("one"), {"another": "program's"})
    await asyncio.to_thread(crew.lease._renew)
    assert (scene.client.get(keys.worker("one")), crew.lease.lapses) == ("1", 0)
