"""Runs that wait for a destination: they leave their worker, and come back in turn."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from lib.web.http_retry import HttpRetry, call_vendor
from pipeline.config.model import Breaker, Destination
from pipeline.destinations.gate import Call, DestinationGate
from pipeline.redis_client import keys
from pipeline.runs.parking import WAITING_TEXT
from pipeline.worker import run_settler
from tests.integration.destinations.destination_scene import Peer, step_to, until
from tests.integration.support.pipeline_fixtures import (
    PATIENCE,
    Scene,
    both,
    configured,
    link,
    storage,
)
from tests.time_limits import HOUR, NOT_IN_TIME, TimeIsUp

OFF = Breaker(failures=0)
ONE = Breaker(1, 600)


async def test_calls_at_once_are_bounded_over_workers(scene: Scene) -> None:
    """Two workers with room for sixteen runs make two calls at a time; each vCon passes once."""
    peer = Peer()
    to = Destination("there", max_in_flight=2, breaker=OFF)
    configuration = configured(links=[step_to(peer.call, to)])
    for name in ("one", "two"):
        await scene.start(configuration, name, concurrency=8)
    peer.open.clear()
    uuids = await scene.feed(count=12)
    for _ in range(2):
        await peer.arrived.get()
    await until(lambda: scene.client.zcard(keys.parked("there")) == 10)
    peer.open.set()
    statuses = [(await scene.finished()).status for _ in uuids]
    assert statuses == ["done"] * 12
    assert sorted(peer.called) == sorted(uuids)
    assert peer.most == 2
    assert scene.client.zcard(keys.slots("there")) == 0
    assert scene.client.zcard(keys.parked("there")) == 0


async def test_an_open_breaker_parks_and_the_probe_brings_all_back(scene: Scene) -> None:
    """After three failures none is tried or a dead letter; others of the list pass meanwhile."""
    peer, passing = Peer(works=False), asyncio.Event()

    async def ends_here(vcon_uuid: str, _name: str, _options: Any) -> str | None:
        return None if passing.is_set() else vcon_uuid

    to = Destination("there", breaker=Breaker(3, 600))
    steps = [link(ends_here), step_to(peer.call, to)]
    await scene.start(configured(links=steps, max_attempts=1), concurrency=1)
    lost = await scene.feed(count=2)  # before the breaker opens, failures count
    assert {(await scene.finished()).status for _ in lost} == {"failed"}
    parked = await scene.feed(count=6)
    for _ in parked:
        ended = await scene.ended()
        assert (ended.how, ended.status) == ("aside", "queued")
        assert ended.run["error"].startswith(f"{WAITING_TEXT}there: it failed repeatedly")
    assert peer.failed == [*lost, parked[0]]
    assert scene.client.zcard(keys.parked("there")) == 6

    passing.set()
    others = await scene.feed(count=2)
    assert [(await scene.finished()).status for _ in others] == ["halted"] * 2

    passing.clear()
    peer.works = True
    await scene.redis.script("try_destination", "there", "")
    done = [await scene.finished() for _ in parked]
    assert [ended.status for ended in done] == ["done"] * 6
    assert sorted(peer.called) == sorted(parked)
    assert {ended.claim.attempt for ended in done} == {1}


async def test_storages_wait_without_those_beside_them(scene: Scene) -> None:
    """One has the vCon already when the run is parked; the other gets it later, once."""
    peer, kept = Peer(works=False), list[str]()

    async def save(vcon_uuid: str, _options: Any) -> None:
        await peer.call(vcon_uuid, "", None)

    to = Destination("there", breaker=Breaker(1, 600))
    spec, loaded = storage(save, "far")
    near = storage(lambda vcon_uuid, _options: kept.append(vcon_uuid), "near")
    far = replace(spec, destination=to)
    await scene.start(configured(storages=[near, (far, loaded)]))
    uuids = await scene.feed(count=2)
    for _ in uuids:
        ended = await scene.ended()
        assert (ended.how, ended.steps) == ("aside", [("near", "ok")])
    peer.works = True
    await scene.redis.script("try_destination", "there", "")
    for _ in uuids:
        ended = await scene.finished()
        assert (ended.status, ended.steps) == ("done", [("near", "ok"), ("far", "ok")])
    assert sorted(kept) == sorted(peer.called) == sorted(uuids)


async def test_a_parked_run_can_be_cancelled(scene: Scene) -> None:
    """It ends at once; nothing waits for it, and what tries is the next one."""
    peer = Peer(works=False)
    configuration = configured(links=[step_to(peer.call, Destination("there", breaker=ONE))])
    await scene.start(configuration)
    uuids = await scene.feed(count=2)
    runs = {(ended := await scene.ended()).claim.vcon_uuid: ended.claim.run_id for _ in uuids}
    cancelled = await scene.runs(configuration).cancel(runs[uuids[0]])
    assert cancelled.status == "cancelled"
    assert scene.journal(runs[uuids[0]])["status"] == "cancelled"
    peer.works = True
    await scene.redis.script("try_destination", "there", "")
    assert (await scene.finished()).claim.vcon_uuid == uuids[1]
    assert peer.called == [uuids[1]]


async def test_a_steps_time_limit_is_a_failure_of_its_peer(
    scene: Scene, time_is_up: TimeIsUp
) -> None:
    """A sync link that hangs beyond its timeout opens the breaker; the run is parked."""
    free = threading.Event()

    def hangs(vcon_uuid: str, _name: str, _options: Any) -> str:
        time_is_up()
        free.wait(PATIENCE)
        return vcon_uuid

    to = Destination("there", breaker=ONE)
    await scene.start(configured(links=[step_to(hangs, to, timeout=HOUR)]))
    await scene.feed()
    ended = await scene.ended()
    assert ended.how == "aside"
    assert f"the last call failed: TimeoutError: {NOT_IN_TIME}" in ended.run["error"]
    free.set()


async def test_errors_of_the_vcon_open_nothing(scene: Scene) -> None:
    """They cost attempts, and the vCon is a dead letter."""

    def refuses(_uuid: str, _name: str, _options: Any) -> str:
        raise ValueError("not this one")

    to = Destination("there", breaker=ONE)
    await scene.start(configured(links=[step_to(refuses, to)], max_attempts=1))
    await scene.feed(count=2)
    assert [(await scene.finished()).status for _ in range(2)] == ["failed"] * 2
    assert not scene.client.hget(keys.destination("there"), "open")


async def test_repeats_within_a_call_count_in_the_rate(scene: Scene) -> None:
    """Three requests of one call take three places; without a rate none is asked for."""
    asked: list[float] = []

    async def attempt() -> str:
        asked.append(float(scene.client.hget(keys.destination("there"), "start") or 0))
        if len(asked) % 3:
            raise ConnectionRefusedError
        return "answer"

    async def step() -> str:
        return await call_vendor(attempt, HttpRetry(5, 3, 0), "the server")

    gate = DestinationGate(scene.redis, lambda: "1000000")
    limited = Destination("there", requests_per_minute=60_000, breaker=OFF)
    assert await gate.call(Call(limited, "in\nx", "link x"), step) == "answer"
    assert await gate.call(Call(replace(limited, requests_per_minute=None), "", ""), step)
    assert asked == [1000000, 1000001, 1000002] + 3 * [1000002]
    await gate.close()


async def test_a_vcon_that_is_queued_twice_is_not_claimed_all_the_time(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is parked, its other element waits in the worker; other lists pass."""
    monkeypatch.setattr(run_settler, "TWICE_SECONDS", 600)
    peer = Peer(works=False)
    calling = configured(links=[step_to(peer.call, Destination("there", breaker=ONE))])
    await scene.start(both(calling, configured(name="other", ingress=("other",))))
    [vcon_uuid] = await scene.feed("in", "in")
    assert (await scene.ended()).how == "aside"
    for _ in range(20):
        await scene.feed("other")
        ended = await scene.ended()
        assert (ended.how, ended.claim.list_name) == ("finish", "other")
    await until(lambda: scene.client.hexists(keys.inflight("one"), vcon_uuid))
    assert scene.client.zscore(keys.LATER, f"in\n{vcon_uuid}")


async def test_a_call_that_is_broken_off_while_it_asks(scene: Scene) -> None:
    """The script takes the slot all the same; it is given back."""
    gate, to = DestinationGate(scene.redis), Destination("there", max_in_flight=1, breaker=OFF)
    call = Call(to, "in\nx", "link x")
    await gate.call(call, partial(asyncio.sleep, 0))  # the scripts are loaded from now on
    asking = asyncio.create_task(gate.call(call, partial(asyncio.sleep, 0)))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])
    await gate.close()
    assert not scene.client.exists(keys.slots("there"))


async def test_a_broken_off_call_gives_its_slot_back(scene: Scene) -> None:
    """A worker that stops returns its claims, and their slots are free at once."""
    peer = Peer()
    peer.open.clear()
    to = Destination("there", max_in_flight=1, breaker=OFF)
    crew = await scene.start(configured(links=[step_to(peer.call, to)]))
    [vcon_uuid] = await scene.feed()
    await peer.arrived.get()
    await crew.stop()
    await until(lambda: not scene.client.exists(keys.slots("there")))
    peer.open.set()
    await scene.start(configured(links=[step_to(peer.call, to)]), "two")
    assert (await scene.finished()).status == "done"
    assert peer.called == [vcon_uuid]
