"""A worker whose chain is paused, or whose replica is drained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline.operator.entries import Entries
from pipeline.redis_client import keys
from pipeline.worker import worker as loop
from tests.integration.support.pipeline_fixtures import Scene, both, configured, link
from tests.integration.worker.worker_scene import Gate, ok

if TYPE_CHECKING:
    from pipeline.runs.queues import Claims

MAIN = configured(links=[link(ok)])
OTHER = configured(name="second", links=[link(ok)], ingress=("other",))
ROUND_TRIPS = 300
HOUR = 3600.0


def counted(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> list[Claims]:
    """The replies to claims from now on."""
    replies: list[Claims] = []
    claim = scene.queues.claim

    async def noted(*words: Any, **how: Any) -> Claims:
        replies.append(await claim(*words, **how))
        return replies[-1]

    monkeypatch.setattr(scene.queues, "claim", noted)
    return replies


async def test_a_paused_list_is_not_looked_at_all_the_time(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was woken by it would claim in vain as quickly as Redis answers."""
    monkeypatch.setattr(loop, "PAUSED_SECONDS", HOUR)
    monkeypatch.setattr(loop, "IDLE_SECONDS", HOUR)
    await Entries(scene.redis, keys.PAUSED).put("main", None, "me", "why")
    replies = counted(scene, monkeypatch)
    await scene.feed("in", count=3)
    await scene.start(both(MAIN, OTHER))
    await scene.feed("other")
    await scene.finished()
    before = len(replies)
    for _ in range(ROUND_TRIPS):
        await scene.redis.command("PING")
    assert len(replies) - before <= 3
    assert len(scene.elements("in")) == 3


async def test_a_worker_goes_on_when_the_pause_is_over(scene: Scene) -> None:
    """By itself, although no element comes and Redis tells it of nothing."""
    paused = Entries(scene.redis, keys.PAUSED)
    await paused.put("main", None, "me", "why")
    fed = await scene.feed("in", count=3)
    await scene.start(both(MAIN, OTHER))
    await scene.feed("other")
    assert (await scene.finished()).claim.list_name == "other"
    await paused.take("main")
    assert {(await scene.finished()).claim.vcon_uuid for _ in fed} == set(fed)


async def test_what_runs_when_a_chain_is_paused_ends(scene: Scene) -> None:
    """And nothing after it begins, although there are elements and free slots."""
    gate = Gate()
    chain = configured(links=[link(gate.run)])
    await scene.start(both(chain, OTHER), concurrency=1)
    first, second = await scene.feed("in", count=2)
    assert await gate.arrival() == first
    await Entries(scene.redis, keys.PAUSED).put("main", None, "me", "why")
    gate.open.set()
    assert (await scene.finished()).claim.vcon_uuid == first
    await scene.feed("other")
    assert (await scene.finished()).claim.list_name == "other"
    assert scene.elements("in") == [second]


async def test_a_suspect_worker_of_a_paused_chain_runs_none(scene: Scene) -> None:
    """The suspect waits, and is run by a suspect worker after the pause."""
    paused = Entries(scene.redis, keys.PAUSED)
    await paused.put("main", None, "me", "why")
    [fed] = await scene.feed("in")
    scene.client.hset("pc:attempts:in", fed, "0\nrun\n1")
    crew = await scene.start(both(MAIN, OTHER), patience=HOUR)
    other = (await scene.feed("other"))[0]
    scene.client.hset("pc:attempts:other", other, "0\nrun2\n1")
    assert (await scene.finished()).claim.vcon_uuid == other
    assert scene.elements("in") == [fed]
    await paused.take("main")
    assert (await scene.finished()).claim.vcon_uuid == fed
    await crew.stop()
