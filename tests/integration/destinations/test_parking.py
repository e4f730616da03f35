"""Runs that wait for a destination: they leave their worker, and come back in turn."""

from __future__ import annotations

import asyncio
from typing import Any

from pipeline.config.model import Breaker, Destination
from pipeline.redis_client import keys
from pipeline.runs.parking import WAITING_TEXT
from tests.integration.destinations.destination_scene import Peer, step_to, until
from tests.integration.support.pipeline_fixtures import Scene, configured, link

OFF = Breaker(failures=0)


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
