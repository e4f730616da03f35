"""Runs that are cancelled, wherever they are just then; and requests that are made twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis

from core.errors import ConflictError, ReusedKeyError, UnknownNameError
from lib.vcon_redis import AsyncVconRedis
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.cancellation import Cancellations
from tests.integration.runs.test_runs import a_stored_vcon, listening
from tests.integration.support.pipeline_fixtures import (
    PATIENCE,
    Scene,
    a_vcon,
    configured,
    link,
    new_uuid,
    storage,
)

KEY = "order 7"


class Gate:
    """A link that says when it has begun and waits until it may end; and one after it."""

    def __init__(self) -> None:
        self.begun, self.open = asyncio.Event(), asyncio.Event()
        self.after: list[str] = []
        self.links = [link(self._first, "first"), link(self._second, "second")]

    async def _first(self, vcon_uuid: str, _name: str, _options: Any) -> str:
        self.begun.set()
        await self.open.wait()
        return vcon_uuid

    async def _second(self, vcon_uuid: str, _name: str, _options: Any) -> str:
        self.after.append(vcon_uuid)
        return vcon_uuid


async def heard(crew: Any, run_id: str) -> None:
    """Until the worker knows that this run is cancelled."""
    async with asyncio.timeout(PATIENCE):
        while not crew.worker._runs.cancellations.live[run_id].cancelled:  # noqa: ASYNC110 -- no event
            await asyncio.sleep(0.001)


async def test_a_queued_run_ends_at_once(scene: Scene, client: Redis):
    """Without any worker: it leaves its list, waiting callers are notified, the history has it."""
    vcon_uuid = await a_stored_vcon(scene)
    async with listening(scene.runs(configured())) as runs:
        run_id = await runs.start("main", vcon_uuid)
        waiting = asyncio.create_task(runs.wait(run_id, PATIENCE))
        assert (await runs.cancel(run_id)).status == "cancelled"
        assert (await waiting).status == "cancelled"
    assert scene.elements("run:main") == []
    assert client.smembers(f"pc:holds:{vcon_uuid}") == set()
    [remembered] = scene.elements(keys.HISTORY)
    assert f'"run_id":"{run_id}"' in remembered
    assert '"finished_at":null' not in remembered


async def test_a_run_ends_before_its_next_link(scene: Scene):
    """What runs is not interrupted; nothing after it starts, and nothing is forwarded."""
    gate, saved = Gate(), []
    shelf = storage(lambda vcon_uuid, _options: saved.append(vcon_uuid))
    configuration = configured(links=gate.links, storages=[shelf], egress=("out",))
    crew = await scene.start(configuration)
    runs = scene.runs(configuration)
    run_id = await runs.start("main", await a_stored_vcon(scene))
    await gate.begun.wait()
    assert (await runs.cancel(run_id)).status in ("queued", "running")
    await heard(crew, run_id)
    gate.open.set()
    await scene.ended()
    run = await runs.find(run_id)
    assert (run.status, [step.name for step in run.steps]) == ("cancelled", ["first"])
    assert (gate.after, saved, scene.elements("out")) == ([], [], [])


@pytest.mark.parametrize("heard_of", [True, False])
@pytest.mark.parametrize("stored", [True, False])
async def test_a_run_cancelled_during_its_last_link_ends_before_its_storages(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, *, heard_of: bool, stored: bool
):
    """Also where the message of the cancellation has not arrived when the link ends."""
    gate, saved = Gate(), []
    shelf = storage(lambda vcon_uuid, _options: saved.append(vcon_uuid))
    configuration = configured(links=gate.links[:1], storages=[shelf] if stored else [])
    if not heard_of:
        monkeypatch.setattr(Cancellations, "_mark", lambda *_: None)
    crew = await scene.start(configuration)
    runs = scene.runs(configuration)
    run_id = await runs.start("main", await a_stored_vcon(scene))
    await gate.begun.wait()
    assert (await runs.cancel(run_id)).status == "running"
    if heard_of:
        await heard(crew, run_id)
    gate.open.set()
    await scene.ended()
    run = await runs.find(run_id)
    assert (run.status, [step.name for step in run.steps]) == ("cancelled", ["first"])
    assert (saved, scene.elements("out")) == ([], [])


async def test_the_checkpoint_before_the_storages_reports_a_cancellation(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
):
    """A link has left its vCon to be written: that write learns what no message has reported."""
    begun, go_on, saved = asyncio.Event(), asyncio.Event(), []

    async def writes(vcon_uuid: str, _name: str, _options: Any) -> str:
        await AsyncVconRedis().store_vcon_dict(a_vcon(vcon_uuid, subject="written"))
        begun.set()
        await go_on.wait()
        return vcon_uuid

    shelf = storage(lambda vcon_uuid, _options: saved.append(vcon_uuid))
    configuration = configured(links=[link(writes, only_through_lib=True)], storages=[shelf])
    monkeypatch.setattr(Cancellations, "_mark", lambda *_: None)
    await scene.start(configuration)
    runs = scene.runs(configuration)
    run_id = await runs.start("main", vcon_uuid := await a_stored_vcon(scene))
    await begun.wait()
    assert (await runs.cancel(run_id)).status == "running"
    go_on.set()
    await scene.ended()
    assert ((await runs.find(run_id)).status, saved) == ("cancelled", [])
    assert scene.client.json().get(keys.vcon(vcon_uuid))["subject"] == "written"


async def test_a_run_cancelled_while_it_is_stored_ends_as_any_other(scene: Scene):
    """One storage has it already: the others get it, too, and so do the egress lists."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def save(_vcon_uuid: str, _options: Any) -> None:
        begun.set()
        await go_on.wait()

    configuration = configured(storages=[storage(save)])
    await scene.start(configuration)
    runs = scene.runs(configuration)
    run_id = await runs.start("main", vcon_uuid := await a_stored_vcon(scene))
    await begun.wait()
    await runs.cancel(run_id)
    go_on.set()
    await scene.ended()
    assert ((await runs.find(run_id)).status, scene.elements("out")) == ("done", [vcon_uuid])


async def test_sync_links_that_share_a_thread_stop_between_them(scene: Scene):
    """They run on without the event loop, but look up before each."""
    ran: list[str] = []

    def named(name: str) -> Any:
        def run(vcon_uuid: str, _name: str, _options: Any) -> str:
            ran.append(name)
            for live in crew.worker._runs.cancellations.live.values():
                live.cancelled = True
            return vcon_uuid

        return link(run, name)

    configuration = configured(links=[named("first"), named("second")])
    crew = await scene.start(configuration)
    runs = scene.runs(configuration)
    run_id = await runs.start("main", await a_stored_vcon(scene))
    await scene.ended()
    assert (ran, (await runs.find(run_id)).status) == (["first"], "cancelled")


async def test_a_run_whose_worker_dies_ends_with_the_next_claim(scene: Scene):
    """The one that was told is gone; the one that takes over finds it written down."""
    gate = Gate()
    configuration = configured(links=gate.links)
    first = await scene.start(configuration, "one")
    runs = scene.runs(configuration)
    run_id = await runs.start("main", await a_stored_vcon(scene))
    await gate.begun.wait()
    await runs.cancel(run_id)
    first.task.cancel()
    await asyncio.gather(first.task, return_exceptions=True)
    await asyncio.to_thread(first.lease.stop)
    await scene.queues.bury("one")
    await scene.start(configuration, "two", patience=PATIENCE)
    while (await runs.find(run_id)).status != "cancelled":
        await scene.ended()
    assert gate.after == []


async def test_a_run_between_two_attempts_ends_at_once(scene: Scene, client: Redis):
    """Its next attempt is not made."""

    def fails(_vcon_uuid: str, _name: str, _options: Any) -> str:
        raise OSError("away")

    configuration = configured(links=[link(fails)])
    await scene.start(configuration)
    [vcon_uuid] = await scene.feed()
    assert (await scene.ended()).how == "later"
    [run_id] = scene.run_ids()
    runs = scene.runs(configuration)
    assert (await runs.cancel(run_id)).status == "cancelled"
    assert client.zcard(keys.LATER) == 0
    assert client.hlen("pc:attempts:in") == 0
    assert client.smembers(f"pc:holds:{vcon_uuid}") == set()


async def test_what_is_queued_anew_is_not_what_was_cancelled(scene: Scene, client: Redis):
    """A vCon stands in its list for another run than the one that is named."""
    run_id, vcon_uuid = new_uuid(), await a_stored_vcon(scene)
    runs = scene.runs(configured())
    await runs.start("main", vcon_uuid)
    [known] = scene.run_ids()
    text = client.get(keys.run(known)) or ""
    client.set(keys.run(run_id), text.replace('"ingress_list":null', '"ingress_list":"in"'))
    client.rpush("in", vcon_uuid)
    await runs.cancel(run_id)
    assert scene.elements("in") == [vcon_uuid]


async def test_a_message_may_come_before_its_run(scene: Scene):
    """The reply to a claim takes its time; who is cancelled meanwhile is told by name."""
    gate = Gate()
    gate.open.set()
    configuration = configured(links=gate.links)
    crew = scene.hire(configuration, "one")
    runs = scene.runs(configuration)
    run_id = await runs.start("main", await a_stored_vcon(scene))
    await crew.worker._runs.cancellations._hear(run_id)
    await asyncio.to_thread(crew.lease.start)
    crew.task = asyncio.create_task(crew.worker.run())
    await scene.ended()
    assert (await runs.find(run_id)).status == "cancelled"


async def test_after_subscribing_missed_cancellations_are_read(scene: Scene, client: Redis):
    """While the connection was lost, messages were not received."""
    gate = Gate()
    configuration = configured(links=gate.links)
    crew = await scene.start(configuration)
    run_id = await scene.runs(configuration).start("main", await a_stored_vcon(scene))
    await gate.begun.wait()
    client.set(keys.cancel(run_id), 1)
    await crew.worker._runs.cancellations._hear("")
    await heard(crew, run_id)


async def test_a_run_that_was_claimed_anew_can_be_cancelled(scene: Scene):
    """The earlier claim of the same worker ends later, and takes the new one not with it."""
    gate = Gate()
    crew = await scene.start(configured(links=gate.links))
    run_id = await scene.runs(configured()).start("main", await a_stored_vcon(scene))
    await gate.begun.wait()
    cancellations = crew.worker._runs.cancellations
    earlier = cancellations.live[run_id]
    anew = replace(earlier)
    cancellations.enter(anew)
    cancellations.leave(earlier)
    await cancellations._hear(run_id)
    assert anew.cancelled


async def test_what_is_over_cannot_be_cancelled(scene: Scene):
    """The answer says how it ended; of a run that never was, that it is unknown."""
    configuration = configured()
    await scene.start(configuration)
    runs = scene.runs(configuration)
    run_id = await runs.start("main", await a_stored_vcon(scene))
    await scene.ended()
    with pytest.raises(ConflictError, match="has ended already: it is done"):
        await runs.cancel(run_id)
    with pytest.raises(UnknownNameError):
        await runs.cancel(new_uuid())


# --- the same request again


async def test_the_same_key_gives_the_same_run_on_any_replica(scene: Scene, redis_url: str):
    """However often, and however close together, it is asked for: one run."""
    vcon_uuid = await a_stored_vcon(scene)
    configuration = configured()
    replicas = [scene.runs(configuration) for _ in range(4)]
    started = await asyncio.gather(*(each.start("main", vcon_uuid, KEY) for each in replicas))
    assert len(set(started)) == 1
    assert len(scene.elements("run:main")) == 1
    assert await replicas[0].requested(KEY, "main", vcon_uuid) == started[0]


async def test_a_key_is_forgotten_after_a_day(scene: Scene, client: Redis):
    """Callers repeat what they are not sure of within minutes."""
    await scene.runs(configured()).start("main", await a_stored_vcon(scene), KEY)
    assert 86000 < client.ttl(keys.idempotency(KEY)) <= 86400


@pytest.mark.parametrize("changed", ["chain", "vcon"])
async def test_a_key_stands_for_one_request(scene: Scene, changed: str):
    """Used for something else, it is a mistake of the caller, who is told so."""
    runs, vcon_uuid = scene.runs(configured()), await a_stored_vcon(scene)
    await runs.start("main", vcon_uuid, KEY)
    other = ("other", vcon_uuid) if changed == "chain" else ("main", await a_stored_vcon(scene))
    with pytest.raises(ReusedKeyError, match="idempotency_key was used for another"):
        await runs.start(*other, KEY)
    with pytest.raises(ReusedKeyError, match="idempotency_key was used for another"):
        await runs.requested(KEY, *other)
    assert len(scene.elements("run:main")) == 1


async def test_a_request_that_failed_leaves_no_key(scene: Scene, redis: RedisConnection):
    """Once the vCon is there, the same request is a new one."""
    runs, vcon_uuid = scene.runs(configured()), new_uuid()
    with pytest.raises(UnknownNameError):
        await runs.start("main", vcon_uuid, KEY)
    assert await runs.requested(KEY, "main", vcon_uuid) is None
