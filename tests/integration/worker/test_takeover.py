"""A worker dies or loses its lease: another one takes its runs over; its writes are refused."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from redis import Redis

from core.errors import ConflictError
from lib.vcon_redis import AsyncVconRedis, VconRedis
from pipeline.redis_client import keys
from pipeline.worker import worker
from tests.integration.support.pipeline_fixtures import (
    PATIENCE,
    Scene,
    a_vcon,
    configured,
    link,
    storage,
)
from tests.integration.worker.worker_scene import Gate, lapse, ok

pytestmark = pytest.mark.usefixtures("at_once")


async def test_a_dead_workers_run_goes_on_at_the_first_link_not_known_done(scene: Scene):
    """What a link's own write has journaled is not repeated; egress gets the vCon once."""
    calls: list[tuple[str, str]] = []
    gate = Gate()

    def writes(by: str) -> Any:
        async def run(vcon_uuid: str, name: str, _options: Any) -> str:
            calls.append((by, name))
            document = await AsyncVconRedis().get_vcon_dict(vcon_uuid)
            await AsyncVconRedis().store_vcon_dict((document or {}) | {"subject": name})
            return vcon_uuid

        return run

    def chain(by: str) -> Any:
        return configured(
            links=[
                link(writes(by), "a"),
                link(writes(by), "b"),
                link(gate.run, "gate"),
                link(writes(by), "c"),
            ]
        )

    one = await scene.start(chain("one"), "one")
    [vcon_uuid] = await scene.feed()
    await gate.arrival()
    await scene.queues.bury("one")  # it lives, but its lease has ended
    two = await scene.start(chain("two"), "two", patience=PATIENCE)
    await gate.arrival()
    gate.open.set()
    ended = await scene.ended()
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(one.worker.idle(), two.worker.idle())
    assert (ended.worker, ended.held, scene.settled.empty()) == ("two", True, True)
    # the write of `b` took the journal with it in which `a` was done
    assert calls.count(("two", "a")) == 0
    assert ("two", "c") in calls
    assert scene.elements("out") == [vcon_uuid]
    assert scene.elements(keys.HISTORY) == [scene.client.get(keys.run(ended.claim.run_id))]


@pytest.mark.parametrize("is_sync", [True, False])
async def test_a_stale_workers_write_is_refused(scene: Scene, is_sync: bool):
    """A link of a worker that was taken for dead cannot change the vCon any more."""
    arrived, go_on = asyncio.Event(), threading.Event()
    outcome: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def told(what: str) -> None:
        loop.call_soon_threadsafe(outcome.put_nowait, what)

    def sync_writes(vcon_uuid: str, _name: str, _options: Any) -> str:
        loop.call_soon_threadsafe(arrived.set)
        go_on.wait(PATIENCE)
        try:
            VconRedis().store_vcon_dict(a_vcon(vcon_uuid, subject="stale"))
        except ConflictError:
            told("refused")
            raise
        told("written")
        return vcon_uuid

    async def async_writes(vcon_uuid: str, _name: str, _options: Any) -> str:
        arrived.set()
        await asyncio.to_thread(go_on.wait, PATIENCE)
        try:
            await AsyncVconRedis().store_vcon_dict(a_vcon(vcon_uuid, subject="stale"))
        except ConflictError:
            told("refused")
            raise
        told("written")
        return vcon_uuid

    await scene.start(configured(links=[link(sync_writes if is_sync else async_writes)]))
    [vcon_uuid] = await scene.feed()
    async with asyncio.timeout(PATIENCE):
        await arrived.wait()
        await scene.queues.bury("one")
        go_on.set()
        assert await outcome.get() == "refused"
    assert "subject" not in (await scene.store.get(vcon_uuid) or {})
    assert scene.elements("out") == []


async def test_nothing_starts_without_a_lease(scene: Scene):
    """After the lease ran out no further link starts before it is known whose the run is."""
    gate, later = Gate(), []

    async def notes(vcon_uuid: str, _name: str, _options: Any) -> str:
        later.append(vcon_uuid)
        return vcon_uuid

    links = [link(gate.run, "gate"), link(notes)]
    crew = await scene.start(configured(links=links), "one")
    [vcon_uuid] = await scene.feed()
    await gate.arrival()
    lapse(crew.lease)
    await scene.queues.bury("one")
    gate.open.set()
    quick = configured(links=[link(gate.run, "gate"), link(ok, "notes")])
    two = await scene.start(quick, "two", patience=PATIENCE)
    ended = await scene.ended()
    assert (ended.worker, ended.held) == ("two", True)
    await two.stop()
    assert not later
    crew.lease._renew()
    async with asyncio.timeout(PATIENCE):
        await crew.worker.idle()
    assert not later
    assert scene.elements("out") == [vcon_uuid]


async def test_a_thread_starts_no_further_link_without_a_lease(scene: Scene):
    """Sync links that follow each other in one go of a thread stop there, too."""
    arrived, go_on, later = asyncio.Event(), threading.Event(), []
    loop = asyncio.get_running_loop()

    def waits(vcon_uuid: str, _name: str, _options: Any) -> str:
        loop.call_soon_threadsafe(arrived.set)
        go_on.wait(PATIENCE)
        return vcon_uuid

    def notes(vcon_uuid: str, _name: str, _options: Any) -> str:
        later.append(vcon_uuid)
        return vcon_uuid

    crew = await scene.start(configured(links=[link(waits), link(notes)]), "one")
    await scene.feed()
    async with asyncio.timeout(PATIENCE):
        await arrived.wait()
        crew.worker.stop()
        lapse(crew.lease)
        await scene.queues.bury("one")
        crew.lease._renew()
        go_on.set()
        await crew.task
    assert later == []


async def test_a_lapse_during_the_claim_is_noticed(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    """What was claimed before a lapse and arrives after it may be another worker's by then."""
    ran: list[str] = []
    claim = scene.queues.claim

    async def late(*arguments: Any, **more: Any) -> Any:
        got = await claim(*arguments, **more)
        if got.claims and not crew.lease.lapses:
            lapse(crew.lease)
            await scene.queues.bury("one")
            crew.lease._renew()
        return got

    async def notes(vcon_uuid: str, _name: str, _options: Any) -> str:
        ran.append(vcon_uuid)
        return vcon_uuid

    monkeypatch.setattr(scene.queues, "claim", late)
    crew = await scene.start(configured(links=[link(notes)]))
    [vcon_uuid] = await scene.feed()
    await scene.start(configured(links=[link(notes)]), "two", patience=PATIENCE)
    ended = await scene.ended()
    assert (ended.held, ended.status) == (True, "done")
    await crew.worker.idle()
    assert ran == [vcon_uuid]


async def test_a_run_continues_after_a_lapse_without_rescue(scene: Scene):
    """When the lease is renewed and the run was not taken over, it continues."""
    gate = Gate()
    crew = await scene.start(configured(links=[link(gate.run, "gate"), link(ok)]))
    await scene.feed()
    await gate.arrival()
    lapse(crew.lease)
    crew.lease._renew()
    assert crew.lease.lapses == 1
    gate.open.set()
    ended = await scene.ended()
    assert (ended.status, ended.held, ended.claim.attempt) == ("done", True, 1)


async def test_a_storage_is_not_tried_again_by_whom_the_run_was_taken_from(scene: Scene):
    """Between two tries of a storage the worker looks whether the run is still its own."""
    tried, go_on = asyncio.Event(), asyncio.Event()
    count = 0

    async def fails(*_: Any) -> None:
        nonlocal count
        count += 1
        tried.set()
        await go_on.wait()
        raise OSError("down")

    crew = await scene.start(configured(storages=[storage(fails, retries=3)]))
    await scene.feed()
    async with asyncio.timeout(PATIENCE):
        await tried.wait()
    lapse(crew.lease)
    await scene.queues.bury("one")
    crew.lease._renew()
    crew.worker.stop()
    go_on.set()
    async with asyncio.timeout(PATIENCE):
        await crew.task
    assert count == 1


async def test_what_a_worker_holds_unknowingly_goes_back(
    scene: Scene, client: Redis, monkeypatch: pytest.MonkeyPatch
):
    """A claim that is made after it was given up on is not stuck until the worker ends."""
    monkeypatch.setattr(worker, "UNCLAIMED_SECONDS", 0.05)
    crew = await scene.start(configured())
    [vcon_uuid] = await scene.feed("elsewhere")
    await scene.queues.claim(crew.name, 1, ["elsewhere"])
    back = await asyncio.to_thread(client.blmove, "elsewhere", "seen", PATIENCE)
    assert back == vcon_uuid
