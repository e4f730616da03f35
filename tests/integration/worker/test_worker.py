"""The loop that claims, runs and settles: many at once, stopping, dying, taking over, outages."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from core.errors import ConflictError
from devstack.servers.valkey import Valkey
from lib.vcon_redis import AsyncVconRedis, VconRedis
from pipeline.redis_client import client as connection
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.worker import worker
from tests.integration.support.pipeline_fixtures import (
    PATIENCE,
    Scene,
    a_vcon,
    both,
    configured,
    link,
    storage,
)

pytestmark = pytest.mark.usefixtures("at_once")


class Gate:
    """A link that stops every vCon until it is opened, and tells who has arrived."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[str] = asyncio.Queue()
        self.open = asyncio.Event()
        self.inside = 0
        self.most = 0

    async def run(self, vcon_uuid: str, _name: str, _options: Any) -> str:
        """The link."""
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.arrived.put_nowait(vcon_uuid)
        try:
            await self.open.wait()
        finally:
            self.inside -= 1
        return vcon_uuid

    async def arrival(self) -> str:
        """Who stands here next."""
        async with asyncio.timeout(PATIENCE):
            return await self.arrived.get()


async def ok(vcon_uuid: str, _name: str, _options: Any) -> str:
    """A link that does nothing."""
    return vcon_uuid


def failing(times: int) -> Any:
    """A link that fails so many times."""
    left = [None] * times

    async def fails(vcon_uuid: str, _name: str, _options: Any) -> str:
        if left:
            left.pop()
            raise RuntimeError("not yet")
        return vcon_uuid

    return fails


# --- at work


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


async def test_a_retry_is_taken_up_by_whoever_is_there(scene: Scene):
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


# --- stopping


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


# --- dying and taking over


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
    await scene.queues.bury("one")  # it lives, but everybody takes it for dead
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
    """What was claimed before a lapse and arrives after it may be somebody else's by then."""
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


async def test_a_lapse_that_nobody_noticed_does_no_harm(scene: Scene):
    """When the lease is back and nobody has taken the run over, it goes on."""
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


def lapse(lease: Any) -> None:
    """The lease runs out without anybody having renewed it."""
    lease._valid_until = 1e-9


async def test_what_a_worker_holds_unknowingly_goes_back(
    scene: Scene, client: Redis, monkeypatch: pytest.MonkeyPatch
):
    """A claim that is made after it was given up on is not stuck until the worker ends."""
    monkeypatch.setattr(worker, "ORPHANS_SECONDS", 0.05)
    crew = await scene.start(configured())
    [vcon_uuid] = await scene.feed("elsewhere")
    await scene.queues.claim(crew.name, 1, ["elsewhere"])
    back = await asyncio.to_thread(client.blmove, "elsewhere", "seen", PATIENCE)
    assert back == vcon_uuid


async def test_what_fails_by_itself_does_not_wait_for_memory(scene: Scene, client: Redis):
    """Runs that wait would keep all places, and what has ended is what makes room."""

    def save(_uuid: str, _options: object) -> None:
        client.config_set("maxmemory", 1)
        raise OSError("down")

    await scene.start(configured(storages=[storage(save)]))
    await scene.feed()
    try:
        assert (await scene.ended()).status == "partial"
    finally:
        client.config_set("maxmemory", 0)


async def test_a_vcon_that_kills_the_process_ends_in_the_dead_letters(scene: Scene):
    """After as many deaths as attempts it is not run again, and the reason says so."""
    gate = Gate()
    chain = configured(links=[link(gate.run, "gate")], max_attempts=3)
    [vcon_uuid] = await scene.feed()
    for name, patience in (("one", None), ("two", PATIENCE), ("three", PATIENCE)):
        crew = await scene.start(chain, name, concurrency=1, patience=patience)
        await gate.arrival()
        await kill(scene, crew)
    await scene.start(chain, "four", patience=PATIENCE)
    ended = await scene.finished()
    assert (ended.status, ended.steps) == ("failed", [])
    assert scene.reason("DLQ:in", vcon_uuid)["error"] == "the process running it died 3 times"


async def test_the_neighbours_of_a_killer_are_not_dead_lettered(scene: Scene):
    """One vCon kills whatever process runs it; those beside it end well, only it ends dead."""
    kills: asyncio.Queue[None] = asyncio.Queue()
    beside = Gate()
    fed = await scene.feed(count=3)
    killer = fed[1]

    async def deadly(vcon_uuid: str, name: str, options: Any) -> str:
        if vcon_uuid != killer:
            return await beside.run(vcon_uuid, name, options)
        kills.put_nowait(None)
        return await asyncio.get_running_loop().create_future()

    chain = configured(links=[link(deadly)], max_attempts=2)
    for number in range(3):  # once beside the others, twice alone
        patience = PATIENCE if number else None
        crew = await scene.start(chain, f"worker{number}", concurrency=3, patience=patience)
        async with asyncio.timeout(PATIENCE):
            await kills.get()
        if number == 0:
            await beside.arrival()
            await beside.arrival()
            beside.open.set()
        await kill(scene, crew)
    await scene.start(chain, "last", concurrency=3, patience=PATIENCE)
    while killer not in scene.elements("DLQ:in"):
        await scene.ended()
    while len(scene.elements("out")) < 2:
        await scene.ended()
    assert scene.elements("DLQ:in") == [killer]
    assert sorted(scene.elements("out")) == sorted({*fed} - {killer})
    assert "died 2 times" in scene.reason("DLQ:in", killer)["error"]


async def kill(scene: Scene, crew: Any) -> None:
    """The process is gone: nothing is given back, and somebody finds out."""
    scene.crews.remove(crew)
    crew.lease._stopping.set()
    crew.worker._queues = crew.worker._settler._queues = None  # whatever it tries now fails
    tasks = [crew.task, *crew.worker._running.values()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    crew.calls.close()
    await scene.queues.bury(crew.name)


async def test_a_worker_whose_task_is_cancelled_leaves_what_it_holds_in_flight(scene: Scene):
    """Its runs end with it, count as no attempts, and ask Redis for nothing any more."""
    gate = Gate()
    crew = await scene.start(configured(links=[link(gate.run, "gate")]))
    [fed] = await scene.feed()
    await gate.arrival()
    runs = [*crew.worker._running.values()]
    crew.task.cancel()
    await asyncio.gather(crew.task, *runs, return_exceptions=True)
    assert list((await scene.queues.held("one")).values()) == [fed]
    assert scene.settled.empty()


async def test_suspects_hold_up_nothing_and_run_one_at_a_time(scene: Scene):
    """Fresh vCons pass those that hang apart; each of these has a process to itself."""
    gate = Gate()
    slow = configured(links=[link(gate.run, "gate")])
    crew = await scene.start(slow, "one", concurrency=3)
    suspects = await scene.feed("in", count=3)
    for _ in suspects:
        await gate.arrival()
    await kill(scene, crew)
    quick = configured(links=[link(ok, "gate")])
    fresh = await scene.feed("in", count=5)
    await scene.start(quick, "two", concurrency=2)
    await scene.start(slow, "three", concurrency=3, patience=PATIENCE)
    assert {(await scene.ended()).claim.vcon_uuid for _ in fresh} == set(fresh)
    assert (await gate.arrival(), gate.inside) == (suspects[0], 1)
    gate.most = 0
    gate.open.set()
    assert [(await scene.ended()).claim.vcon_uuid for _ in suspects] == suspects
    assert gate.most == 1


async def test_a_suspect_that_goes_on_and_on_does_not_stop_the_others(scene: Scene):
    """After `patience` the next one starts beside it in the same process."""
    gate = Gate()
    slow = configured(links=[link(gate.run, "gate")])
    crew = await scene.start(slow, "one", concurrency=2)
    suspects = await scene.feed("in", count=2)
    for _ in suspects:
        await gate.arrival()
    await kill(scene, crew)
    await scene.start(slow, "two", patience=0.05)
    assert [await gate.arrival() for _ in suspects] == suspects
    gate.open.set()
    assert {(await scene.ended()).claim.vcon_uuid for _ in suspects} == set(suspects)


async def test_a_suspect_worker_ends_when_there_are_no_suspects(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
):
    """It takes nothing else meanwhile, however much waits."""
    monkeypatch.setattr(worker, "LINGER_SECONDS", 0.0)
    monkeypatch.setattr(worker, "SUSPECTS_SECONDS", 0.01)
    fed = await scene.feed("in", count=2)
    crew = await scene.start(configured(links=[link(ok)]), patience=PATIENCE)
    async with asyncio.timeout(PATIENCE):
        await crew.task
    assert scene.elements("in") == fed


# --- outages


@asynccontextmanager
async def own_server(folder: Path) -> AsyncIterator[tuple[Scene, Valkey]]:
    """A server of the test's own with a scene on it."""
    server = Valkey.start(folder)
    redis = RedisConnection(server.url)
    connection.install(redis)
    client = Redis.from_url(server.url, decode_responses=True)
    scene = Scene(redis, client)
    try:
        yield scene, server
    finally:
        await scene.close()
        connection._installed.clear()
        client.close()
        await redis.close()
        server.stop()


@pytest.mark.parametrize("is_sync", [True, False])
async def test_a_link_during_an_outage_is_repeated_and_not_counted(
    reachable_folder: Path, news: asyncio.Queue[str], is_sync: bool
):
    """Redis is killed in the middle of a link and comes back: same attempt, same run, done."""
    arrived, go_on, calls = asyncio.Event(), threading.Event(), []
    loop = asyncio.get_running_loop()

    def sync_reads(vcon_uuid: str, name: str, _options: Any) -> str | None:
        calls.append(name)
        loop.call_soon_threadsafe(arrived.set)
        go_on.wait(PATIENCE)
        document = VconRedis().get_vcon_dict(vcon_uuid)
        VconRedis().store_vcon_dict((document or {}) | {"subject": name})
        return vcon_uuid

    async def async_reads(vcon_uuid: str, name: str, _options: Any) -> str | None:
        calls.append(name)
        arrived.set()
        await asyncio.to_thread(go_on.wait, PATIENCE)
        document = await AsyncVconRedis().get_vcon_dict(vcon_uuid)
        await AsyncVconRedis().store_vcon_dict((document or {}) | {"subject": name})
        return vcon_uuid

    async with own_server(reachable_folder) as (scene, server):
        reads = link(sync_reads if is_sync else async_reads, "reads")
        await scene.start(configured(links=[link(ok), reads], max_attempts=1))
        [vcon_uuid] = await scene.feed()
        async with asyncio.timeout(PATIENCE):
            await arrived.wait()
        server.kill()
        go_on.set()
        assert "away" in await news.get()
        await asyncio.to_thread(server.restart)
        ended = await scene.finished()
        assert (ended.run["error"], ended.status, ended.claim.attempt) == (None, "done", 1)
        assert ended.steps == [("ok", "ok"), ("reads", "ok")]
        assert len(calls) >= 2
        assert scene.elements("out") == [vcon_uuid]
        # a connection that nobody has used since the outage fails once
        document = await scene.redis.insist(lambda: scene.store.get(vcon_uuid))
        assert (document or {})["subject"] == "reads"


async def test_a_link_that_hides_an_outage_does_not_halt(
    reachable_folder: Path, news: asyncio.Queue[str]
):
    """A link that answers None because Redis was away has not judged the vCon."""
    arrived, go_on, calls = asyncio.Event(), asyncio.Event(), []

    async def hides(vcon_uuid: str, name: str, _options: Any) -> str | None:
        calls.append(name)
        arrived.set()
        await go_on.wait()
        try:
            await AsyncVconRedis().get_vcon_dict(vcon_uuid)
        except Exception:
            await asyncio.to_thread(restarted.wait, PATIENCE)
            return None
        return vcon_uuid

    restarted = threading.Event()
    async with own_server(reachable_folder) as (scene, server):
        await scene.start(configured(links=[link(hides)], max_attempts=1))
        [vcon_uuid] = await scene.feed()
        async with asyncio.timeout(PATIENCE):
            await arrived.wait()
        server.kill()
        go_on.set()
        assert "away" in await news.get()
        await asyncio.to_thread(server.restart)
        restarted.set()
        assert (await scene.finished()).status == "done"
        assert scene.elements("out") == [vcon_uuid]


async def test_idle_and_settling_workers_outlast_an_outage(
    reachable_folder: Path, news: asyncio.Queue[str]
):
    """A worker that waits and one that wants to settle both go on when Redis is back."""
    gate = Gate()
    async with own_server(reachable_folder) as (scene, server):
        chain = both(
            configured(links=[link(gate.run, "gate")]),
            configured(name="two", ingress=("in2",), egress=("out2",)),
        )
        await scene.start(chain, concurrency=1)
        [running] = await scene.feed()
        await gate.arrival()
        server.kill()
        gate.open.set()
        assert "away" in await news.get()
        await asyncio.to_thread(server.restart)
        assert (await scene.finished()).claim.vcon_uuid == running
        [later] = await scene.feed("in2")
        assert (await scene.finished()).claim.vcon_uuid == later
        assert (scene.elements("out"), scene.elements("out2")) == ([running], [later])


async def test_an_outage_does_not_count_for_the_chains_timeout(
    reachable_folder: Path, news: asyncio.Queue[str]
):
    """Time that was spent on waiting for Redis is not the chain's."""
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def reads(vcon_uuid: str, _name: str, _options: Any) -> str | None:
        arrived.set()
        await go_on.wait()
        await AsyncVconRedis().get_vcon_dict(vcon_uuid)
        return vcon_uuid

    async with own_server(reachable_folder) as (scene, server):
        await scene.start(configured(links=[link(reads)], timeout=0.3, max_attempts=1))
        await scene.feed()
        async with asyncio.timeout(PATIENCE):
            await arrived.wait()
        server.kill()
        go_on.set()
        assert "away" in await news.get()
        await asyncio.sleep(0.4)  # longer than the chain's time
        await asyncio.to_thread(server.restart)
        ended = await scene.finished()
        assert (ended.status, ended.claim.attempt) == ("done", 1)
