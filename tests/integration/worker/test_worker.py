"""The loop that claims, runs and settles: concurrency, lists, retries, stopping."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from redis import Redis

from lib.vcon_redis import AsyncVconRedis
from pipeline.redis_client import keys
from pipeline.worker import worker
from pipeline.worker.list_watcher import ListWatcher
from tests.integration.support.pipeline_fixtures import (
    PATIENCE,
    Scene,
    a_vcon,
    both,
    configured,
    link,
)
from tests.integration.worker.worker_scene import Gate, failing, ok

pytestmark = pytest.mark.usefixtures("at_once")


async def test_no_more_run_at_once_than_there_are_places(scene: Scene):
    """With three places three run, the others stay in their list until one is free."""
    gate = Gate()
    await scene.start(configured(links=[link(gate.run, "gate")]), concurrency=3)
    fed = await scene.feed(count=7)
    assert {await gate.arrival() for _ in range(3)} == set(fed[:3])
    assert scene.elements("in") == fed[3:]
    gate.open.set()
    assert {(await scene.ended()).claim.vcon_uuid for _ in fed} == set(fed)
    assert gate.most == 3


async def test_an_idle_worker_wakes_for_a_new_vcon(scene: Scene):
    """A vCon that comes into any list of a blocked worker is taken up, again and again."""
    await scene.start(configured(links=[link(ok)], ingress=("a", "b")))
    for name in ("a", "b", "a"):
        [vcon_uuid] = await scene.feed(name)
        assert (await scene.ended()).claim.vcon_uuid == vcon_uuid


async def test_an_idle_worker_blocks_instead_of_asking(scene: Scene, client: Redis):
    """A worker without work waits in the server, once for each of its lists."""
    await scene.start(configured(links=[link(ok)]))
    await scene.feed()
    await scene.ended()
    async with asyncio.timeout(PATIENCE):
        while client.info("clients")["blocked_clients"] < 2:  # `in` and `run:main`
            await scene.redis.command("PING")  # the server's view of it is all there is to ask


async def test_retries_that_are_due_together(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim puts back as many as it wants; the next claim follows at once."""
    monkeypatch.setattr(worker, "IDLE_SECONDS", 600)
    uuids = await scene.feed("elsewhere", count=5)
    scene.client.zadd(keys.LATER, {f"in\n{vcon_uuid}": 1 for vcon_uuid in uuids})
    await scene.start(configured(links=[link(ok)]), concurrency=1)
    assert {(await scene.ended()).claim.vcon_uuid for _ in uuids} == set(uuids)


async def test_a_list_that_is_watched_again_at_once(scene: Scene) -> None:
    """It was paused a moment before."""
    watch = ListWatcher(scene.redis)
    watch.watch(["in"])
    watch.forget()
    assert not await watch.wait(0.01)
    watch.pause(["in"])
    watch.pause([])
    scene.client.rpush("in", "x")
    assert await watch.wait(PATIENCE)
    watch.close()


async def test_chains_take_their_own_lists(scene: Scene):
    """Each list leads to the chain that reads it, whichever worker claims."""
    first = configured(name="one", links=[link(ok, "a")], ingress=("in1",), egress=("out1",))
    second = configured(name="two", links=[link(ok, "b")], ingress=("in2",), egress=("out2",))
    await scene.start(both(first, second))
    [one], [two] = await scene.feed("in1"), await scene.feed("in2")
    endings = {(await scene.ended()).run["chain"] for _ in range(2)}
    assert endings == {"one", "two"}
    assert (scene.elements("out1"), scene.elements("out2")) == ([one], [two])


async def test_a_disabled_chain_leaves_its_list_alone(scene: Scene):
    """What is queued for a disabled chain stays queued."""
    off = configured(name="off", ingress=("off",), enabled=False)
    await scene.start(both(off, configured()))
    waiting = await scene.feed("off")
    await scene.feed("in")
    await scene.ended()
    assert scene.elements("off") == waiting


async def test_the_same_vcon_in_two_lists_runs_one_after_the_other(scene: Scene):
    """The second run waits for the first, and both use one attempt."""
    gate = Gate()
    first = configured(name="one", links=[link(gate.run, "gate")], ingress=("a",))
    second = configured(name="two", links=[link(gate.run, "gate2")], ingress=("b",))
    await scene.start(both(first, second))
    [vcon_uuid] = await scene.feed("a", "b")
    assert await gate.arrival() == vcon_uuid
    gate.open.set()
    endings = [await scene.ended(), await scene.ended()]
    assert gate.most == 1
    assert [(each.status, each.claim.attempt) for each in endings] == [("done", 1)] * 2


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_retry_does_not_ask_the_wall_clock(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, hours: int
):
    """A clock that is behind delays it as little as one that is ahead hastens it."""
    machine = time.time
    monkeypatch.setattr(time, "time", lambda: machine() + hours * 3600)
    await scene.start(configured(links=[link(failing(1), "fails")]))
    [vcon_uuid] = await scene.feed()
    assert (await scene.ended()).how == "later"
    due = scene.client.zscore(keys.LATER, f"in\n{vcon_uuid}")
    assert due is None or due / 1000 == pytest.approx(machine(), abs=60)
    ended = await scene.finished()
    assert (ended.status, ended.claim.attempt) == ("done", 2)


async def test_a_retry_is_claimed_by_another_worker(scene: Scene):
    """What a worker left for later another one runs after the first has gone."""
    fails = failing(1)
    chain = configured(links=[link(fails, "fails")])
    one = await scene.start(chain, "one")
    await scene.feed()
    assert (await scene.ended()).how == "later"
    one.worker.stop()
    await one.task
    await scene.start(chain, "two")
    ended = await scene.finished()
    assert (ended.status, ended.claim.attempt) == ("done", 2)


@pytest.mark.parametrize("later", [[], [link(ok, "next")]], ids=["last", "not last"])
@pytest.mark.parametrize("only_through_lib", [True, False])
async def test_a_document_that_redis_does_not_take_is_a_failure(
    scene: Scene, only_through_lib: bool, later: list[Any]
):
    """Where something else stands in its place: a dead letter with the reason, nothing stuck."""

    async def writes(vcon_uuid: str, _name: str, _options: Any) -> str:
        await AsyncVconRedis().store_vcon_dict(a_vcon(vcon_uuid))
        return vcon_uuid

    links = [link(writes, only_through_lib=only_through_lib), *later]
    await scene.start(configured(links=links))
    [vcon_uuid] = await scene.feed(document=False)
    scene.client.set(keys.vcon(vcon_uuid), "a text")
    await scene.feed()
    endings = {(ended := await scene.finished()).status: ended for _ in range(2)}
    assert endings.keys() == {"failed", "done"}
    assert scene.elements("DLQ:in") == [vcon_uuid]
    # what a journal says is done stands in the document: a replay must run that link again
    assert ("writes", "ok") not in endings["failed"].steps


async def test_an_idle_worker_stops_at_once(scene: Scene):
    """Told to stop, a blocked worker ends."""
    crew = await scene.start(configured())
    await scene.feed()
    await scene.ended()
    crew.worker.stop()
    async with asyncio.timeout(PATIENCE):
        await crew.task


async def test_a_stopping_worker_finishes_and_claims_nothing_more(scene: Scene):
    """What runs comes to its end; what waits stays in the list."""
    gate = Gate()
    crew = await scene.start(configured(links=[link(gate.run, "gate")]), concurrency=1)
    running, waiting = await scene.feed(count=2)
    await gate.arrival()
    crew.worker.stop()
    gate.open.set()
    assert (await scene.ended()).claim.vcon_uuid == running
    await crew.task
    assert scene.elements("in") == [waiting]


async def test_what_is_broken_off_goes_back_to_the_head_in_order(scene: Scene):
    """Runs that do not end in time are put back where they came from, uncounted."""
    gate = Gate()
    crew = await scene.start(configured(links=[link(gate.run, "gate")]), concurrency=3)
    fed = await scene.feed(count=5)
    for _ in range(3):
        await gate.arrival()
    crew.worker.stop()
    await crew.worker.release()
    await crew.task
    assert scene.elements("in") == fed
    gate.open.set()
    await scene.start(configured(links=[link(gate.run, "gate")]), "two")
    assert {(await scene.finished()).claim.attempt for _ in fed} == {1}


async def test_a_run_that_was_broken_off_goes_on_where_it_was(scene: Scene):
    """Links that were done before are not run again by the next worker."""
    calls: list[str] = []
    gate = Gate()

    async def counts(vcon_uuid: str, name: str, _options: Any) -> str:
        calls.append(name)
        return vcon_uuid

    chain = configured(links=[link(counts, "a"), link(gate.run, "gate"), link(counts, "b")])
    crew = await scene.start(chain)
    await scene.feed()
    await gate.arrival()
    await crew.stop()
    gate.open.set()
    await scene.start(chain, "two")
    ended = await scene.finished()
    assert calls == ["a", "b"]
    assert ended.steps == [("a", "ok"), ("gate", "ok"), ("b", "ok")]
