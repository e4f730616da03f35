"""Keys of another type under the names of a chain: the others go on, and nothing is charged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import generate_latest

from core.observability.metrics import REGISTRY
from lib.vcon_redis import AsyncVconRedis
from pipeline.admin.queue_depths import QueueDepths
from pipeline.admin.redis_checks import UnusableKeys
from pipeline.redis_client import keys, own_keys
from pipeline.worker import run_settler, worker
from tests.integration.support.pipeline_fixtures import PATIENCE, Scene, both, configured, link

pytestmark = pytest.mark.usefixtures("at_once")


async def ok(vcon_uuid: str, _name: str, _options: Any) -> str:
    """A link that does nothing."""
    return vcon_uuid


TWO = both(
    configured(name="one", links=[link(ok)], ingress=("calls",), egress=("sent",)),
    configured(name="two", links=[link(ok, "fine")], ingress=("mails",), egress=("done",)),
)
OWN = [
    "calls",
    "run:one",
    "sent",
    "DLQ:calls",
    "DLQ:run:one",
    "context:calls",
    "pc:attempts:calls",
    "pc:dead:DLQ:calls",
    "pc:unread:sent",
    "pc:lease:sent",
]
"""What belongs to chain one alone."""
COMMON = [
    keys.LATER,
    keys.HISTORY,
    keys.INDEX,
    keys.OWNERS,
    keys.LENDERS,
    keys.WORKERS,
    "pc:expiring",
    "vcons",
]
"""What a run can end without."""


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker looks again after a moment."""
    monkeypatch.setattr(worker, "IDLE_SECONDS", 0.05)
    monkeypatch.setattr(run_settler, "ASIDE_SECONDS", 0.05)
    monkeypatch.setattr(own_keys, "LOOK_SECONDS", 0.05)


@pytest.fixture
async def refused() -> AsyncIterator[asyncio.Event]:
    """Set once a worker has logged that its claims are refused."""
    said, loop = asyncio.Event(), asyncio.get_running_loop()
    handler = logging.Handler()
    handler.emit = lambda _record: loop.call_soon_threadsafe(said.set) and None  # type: ignore[method-assign]
    handler.addFilter(lambda record: record.getMessage() == "claim refused")
    logging.getLogger("pipeline.worker.worker").addHandler(handler)
    yield said
    logging.getLogger("pipeline.worker.worker").removeHandler(handler)


@pytest.mark.parametrize("name", [*OWN, *COMMON])
async def test_another_chain_goes_on(scene: Scene, name: str):
    """Its vCons end at their first attempt, by a worker that lives on."""
    scene.client.set(name, "another program's")
    crew = await scene.start(TWO)
    fed = await scene.feed("mails", count=5)
    ended = [await scene.finished() for _ in fed]
    assert {(each.status, each.claim.attempt) for each in ended} == {("done", 1)}
    assert sorted(scene.elements("done")) == sorted(fed)
    assert not crew.task.done()


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("name", ["sent", "pc:attempts:calls"])
async def test_a_chain_goes_on_once_its_keys_are_usable(scene: Scene, name: str):
    """Until then its vCons wait in their list, and no attempt is used up."""
    scene.client.set(name, "another program's")
    await scene.start(TWO)
    fed = await scene.feed("calls", count=2)
    await scene.feed("mails")
    assert (await scene.finished()).claim.list_name == "mails"
    assert scene.elements("calls") == fed
    scene.client.delete(name)
    ended = [await scene.finished() for _ in fed]
    assert {(each.status, each.claim.attempt) for each in ended} == {("done", 1)}


@pytest.mark.usefixtures("often")
async def test_what_cannot_be_forwarded_is_set_aside(scene: Scene):
    """A list that became unusable while its run went on: nothing is repeated, nothing charged."""
    calls: list[str] = []

    async def takes_the_name(vcon_uuid: str, _name: str, _options: Any) -> str:
        calls.append(vcon_uuid)
        scene.client.set("out", "another program's")
        return vcon_uuid

    await scene.start(configured(links=[link(takes_the_name, "takes")]))
    [vcon_uuid] = await scene.feed()
    assert (await scene.ended()).how == "aside"
    scene.client.delete("out")
    ended = await scene.finished()
    assert (ended.status, ended.claim.attempt) == ("done", 1)
    assert (calls, scene.elements("out")) == ([vcon_uuid], [vcon_uuid])


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("key", ["pc:attempts:in", keys.LOCKS])
@pytest.mark.parametrize("fails", [False, True])
async def test_a_key_that_runs_share_ends_no_run(scene: Scene, key: str, *, fails: bool):
    """It became unusable while a run went on: the run is neither charged nor given up."""
    calls: list[str] = []

    async def takes_the_name(vcon_uuid: str, _name: str, _options: Any) -> str:
        calls.append(vcon_uuid)
        if len(calls) == 1:
            scene.client.delete(key)
            scene.client.xadd(key, {"another": "program's"})
            if fails:
                raise ValueError("its own")
        return vcon_uuid

    chain = configured(links=[link(takes_the_name, "takes")], max_attempts=2)
    crew = await scene.start(chain)
    said = asyncio.Event()
    logging.getLogger("pipeline.redis_client.own_keys").addFilter(
        lambda _record: said.set() or True
    )
    [vcon_uuid] = await scene.feed()
    await asyncio.wait_for(said.wait(), PATIENCE)
    assert (scene.elements("DLQ:in"), scene.elements("out")) == ([], [])
    scene.client.delete(key)
    ended = await scene.finished()
    assert (ended.status, ended.claim.attempt) == ("done", 2 if fails else 1)
    assert (len(calls), scene.elements("out")) == (2 if fails else 1, [vcon_uuid])
    assert not crew.task.done()


@pytest.mark.usefixtures("often")
async def test_a_retry_survives_another_type_in_its_list(scene: Scene):
    """It stays among the delayed ones until its list is one again."""
    failed = False

    async def fails_once(vcon_uuid: str, _name: str, _options: Any) -> str:
        nonlocal failed
        if not failed:
            failed = True
            raise ConnectionError("a passing failure")
        return vcon_uuid

    chain = configured(links=[link(fails_once, "fails")], egress=())
    crew = await scene.start(chain)
    [vcon_uuid] = await scene.feed()
    assert (await scene.ended()).how == "later"
    await crew.stop()
    scene.client.set("in", "another program's")
    claims = await scene.queues.claim("stranger", 4, ["in"])
    assert claims.lease_lost
    crew = await scene.start(chain, "two")
    await asyncio.sleep(0)
    assert scene.client.zrange(keys.LATER, 0, -1) == [f"in\n{vcon_uuid}"]
    scene.client.delete("in")
    scene.client.zadd(keys.LATER, {f"in\n{vcon_uuid}": 1})
    assert ((ended := await scene.finished()).status, ended.claim.attempt) == ("done", 2)


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("name", [keys.LOCKS, "pc:tokens", "pc:inflight:one"])
async def test_a_worker_outlives_what_it_cannot_do_without(
    scene: Scene, name: str, refused: asyncio.Event, caplog: pytest.LogCaptureFixture
):
    """It says so once, waits, and goes on by itself."""
    scene.client.rpush(name, "another program's")
    await scene.start(TWO)
    await scene.feed("mails")
    async with asyncio.timeout(PATIENCE):
        await refused.wait()
    scene.client.delete(name)
    assert (await scene.finished()).status == "done"
    assert caplog.messages.count("claim refused") == 1


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("kind", ["pc:waiting:", "pc:holds:", "pc:about:", "context:mails:"])
async def test_a_vcons_own_keys_stop_no_other(scene: Scene, kind: str):
    """The one is put aside or goes on without that key; those behind it go on in any case."""
    await scene.start(TWO)
    [odd] = await scene.feed("elsewhere")
    scene.client.set(f"{kind}{odd}", "another program's")
    scene.client.rpush("mails", odd)
    fed = await scene.feed("mails", count=3)
    ended = {(await scene.finished()).claim.vcon_uuid for _ in fed}
    assert len(ended - {odd}) >= 2
    where = [
        *scene.elements("done"),
        *(e.split("\n")[1] for e in scene.client.zrange(keys.LATER, 0, -1)),
    ]
    assert odd in where


async def test_a_vcon_that_is_no_document_becomes_a_dead_letter(scene: Scene):
    """Three attempts, as with any vCon that cannot be processed; its neighbours are untouched."""

    async def reads(vcon_uuid: str, _name: str, _options: Any) -> str:
        await AsyncVconRedis().get_vcon_dict(vcon_uuid)
        return vcon_uuid

    await scene.start(configured(links=[link(reads, "reads")], egress=("out",)))
    scene.client.set("vcon:odd", "another program's")
    scene.client.rpush("in", "odd")
    fed = await scene.feed("in", count=3)
    ended = {
        e.claim.vcon_uuid: (e.status, e.claim.attempt)
        for e in [await scene.finished() for _ in range(4)]
    }
    assert ended == {"odd": ("failed", 3)} | dict.fromkeys(fed, ("done", 1))


@pytest.mark.parametrize("element", ["no separator", "", "|", "a|b|c"])
async def test_any_text_in_a_run_list_ends(scene: Scene, element: str):
    """Other programs may push what they like: it becomes a run, and ends as one."""
    await scene.start(TWO)
    scene.client.rpush("run:one", element)
    assert (await scene.finished()).held


# --- what an operator is told


async def test_lists_with_a_key_of_another_type_are_named(scene: Scene):
    """Each with what it is; the others with their depth."""
    await scene.feed("mails", count=2)
    scene.client.set("calls", "another program's")
    scene.client.set(keys.LATER, "another program's")
    scene.client.set("pc:dead:DLQ:mails", "another program's")
    state = await scene.queues.state(["calls", "mails", "DLQ:mails"])
    assert state.unusable == {
        "calls": "calls is no list but a string",
        "DLQ:mails": "pc:dead:DLQ:mails is no hash but a string",
        keys.LATER: "pc:later is no zset but a string",
    }
    assert state.lists["mails"].depth == 2


async def test_the_log_tells_of_a_key_once(scene: Scene, caplog: pytest.LogCaptureFixture):
    """When it is first seen, and when it can be used again."""
    watch = UnusableKeys(scene.redis, TWO, "vcons")
    scene.client.set("calls", "another program's")
    for _ in range(3):
        await watch.look()
    scene.client.delete("calls")
    await watch.look()
    assert caplog.messages == ["key cannot be used", "key can be used again"]
    assert [(vars(record)["list"], record.levelname) for record in caplog.records] == [
        ("calls", "WARNING"),
        ("calls", "WARNING"),
    ]


async def test_the_metrics_tell_of_it_and_go_on(scene: Scene):
    """Such a key has a series of its own, and takes none away from the others."""
    await scene.feed("mails", count=2)
    for name in ("calls", keys.LOCKS, keys.HISTORY, "vcons"):
        scene.client.set(name, "another program's")
    await QueueDepths(scene.redis, TWO).look()
    page = generate_latest(REGISTRY).decode()
    for name in ("calls", keys.LOCKS, keys.HISTORY, "vcons"):
        assert f'patchcord_unusable_keys{{key="{name}"}} 1.0' in page
    assert 'patchcord_ingress_depth{list="mails"} 2.0' in page
    assert 'patchcord_ingress_depth{list="calls"}' not in page


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("refused_first", [False, True])
async def test_a_dead_letter_counts_the_attempts_that_began(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, *, refused_first: bool
):
    """Not the claims that only make it a dead letter, nor those that could not even do that."""
    monkeypatch.setattr(run_settler, "REFUSED_PAUSE", 0.001)
    [vcon_uuid] = await scene.feed("elsewhere")
    scene.client.hset("pc:attempts:in", vcon_uuid, "2\nsome-run\n0")  # its process died twice
    scene.client.rpush("in", vcon_uuid)
    if refused_first:
        scene.client.set("DLQ:in", "another program's")
    await scene.start(configured(links=[link(ok)], max_attempts=2))
    if refused_first:
        assert [(await scene.ended()).run["attempts"] for _ in range(3)] == [2, 2, 2]
        scene.client.delete("DLQ:in")
    assert (await scene.finished()).run["attempts"] == 2
    assert scene.reason("DLQ:in", vcon_uuid)["attempts"] == 2
    assert "died 2 times" in scene.reason("DLQ:in", vcon_uuid)["error"]
