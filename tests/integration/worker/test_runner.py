"""What one run does, from the claim to its end: real queues, plugins that are functions here."""

from __future__ import annotations

import asyncio
import math
import sys
import threading
from dataclasses import replace
from typing import Any

import pytest

from lib.vcon_redis import AsyncVconRedis, VconRedis
from pipeline.config import model
from pipeline.redis_client import keys
from pipeline.runs import lease as journals
from pipeline.runs.queues import Queues
from tests.integration.support.pipeline_fixtures import (
    PATIENCE,
    Scene,
    a_vcon,
    both,
    configured,
    link,
    new_uuid,
    storage,
)

pytestmark = pytest.mark.usefixtures("at_once")


def passes(vcon_uuid: str, _name: str, _options: Any) -> str:
    """A sync link that does nothing."""
    return vcon_uuid


async def passes_async(vcon_uuid: str, _name: str, _options: Any) -> str:
    """An async link that does nothing."""
    return vcon_uuid


# --- links


async def test_links_run_in_order_then_storages_then_egress(scene: Scene):
    """Sync and async links take turns in the order of the chain, each called by the contract."""
    calls: list[Any] = []

    def first(vcon_uuid: str, name: str, options: Any) -> str:
        calls.append((vcon_uuid, name, options, threading.current_thread().name[:6]))
        return vcon_uuid

    async def second(vcon_uuid: str, name: str, options: Any) -> str:
        calls.append((vcon_uuid, name, options, threading.current_thread().name[:6]))
        return vcon_uuid

    def save(vcon_uuid: str, _options: Any) -> None:
        calls.append(("saved", scene.elements("out")))

    links = [link(first, "a", options={"x": 1}), link(second, "b"), link(first, "c")]
    await scene.start(configured(links=links, storages=[storage(save)]))
    [vcon_uuid] = await scene.feed()
    ended = await scene.ended()
    assert ended.status == "done"
    assert calls == [
        (vcon_uuid, "a", {"x": 1}, "plugin"),
        (vcon_uuid, "b", {}, "MainTh"),
        (vcon_uuid, "c", {}, "plugin"),
        ("saved", []),
    ]
    assert ended.steps == [("a", "ok"), ("b", "ok"), ("c", "ok"), ("shelf", "ok")]
    assert scene.elements("out") == [vcon_uuid]


async def test_a_link_may_spoil_its_options(scene: Scene):
    """Each call gets the options afresh."""
    seen: list[dict[str, Any]] = []

    def spoils(vcon_uuid: str, _name: str, options: dict[str, Any]) -> str:
        seen.append(dict(options))
        options.clear()
        return vcon_uuid

    await scene.start(configured(links=[link(spoils, options={"a": 1})]))
    await scene.feed(count=2)
    await scene.ended()
    await scene.ended()
    assert seen == [{"a": 1}, {"a": 1}]


async def test_a_replaced_vcon_goes_on_and_the_old_one_stays(scene: Scene):
    """Another uuid takes the place of the first: for later links, storages and egress."""
    made = new_uuid()
    seen: list[str] = []

    async def replaces(_vcon_uuid: str, _name: str, _options: Any) -> str:
        await AsyncVconRedis().store_vcon_dict(a_vcon(made))
        return made

    def sees(vcon_uuid: str, _name: str, _options: Any) -> str:
        seen.append(vcon_uuid)
        return vcon_uuid

    shelf = storage(lambda vcon_uuid, _options: seen.append(vcon_uuid))
    await scene.start(configured(links=[link(replaces), link(sees)], storages=[shelf]))
    [came_in] = await scene.feed()
    ended = await scene.ended()
    assert (ended.run["vcon_in"], ended.run["vcon_out"]) == (came_in, made)
    assert seen == [made, made]
    assert scene.elements("out") == [made]
    assert await scene.store.get(came_in)


@pytest.mark.parametrize("falsy", [None, False, ""])
async def test_a_falsy_return_halts(scene: Scene, falsy: object):
    """Neither later links nor storages nor egress follow, and nothing is a dead letter."""
    later: list[str] = []
    links = [link(lambda *_: falsy, "judge"), link(lambda *_: later.append("link"), "next")]
    shelf = storage(lambda *_: later.append("storage"))
    await scene.start(configured(links=links, storages=[shelf]))
    [vcon_uuid] = await scene.feed()
    ended = await scene.ended()
    assert (ended.status, ended.steps, later) == ("halted", [("judge", "halted")], [])
    assert scene.elements("out") == scene.elements("DLQ:in") == []
    assert scene.client.ttl(keys.vcon(vcon_uuid)) == -1


async def test_a_halt_without_a_document_is_a_failure(scene: Scene):
    """A link that says no to a vCon that is not there has judged nothing."""
    await scene.start(configured(links=[link(lambda *_: None, "judge")]))
    [vcon_uuid] = await scene.feed(document=False)
    ended = await scene.finished()
    assert ended.status == "failed"
    assert scene.elements("DLQ:in") == [vcon_uuid]
    assert scene.reason("DLQ:in", vcon_uuid)["error"] == (
        f"LookupError: there is no vCon {vcon_uuid} in Redis"
    )


@pytest.mark.parametrize(
    "returned", [True, "abc", 7, ["x"], "{0190c5e2-7f3a-7b6e-9f0a-3c1d2e4f5a6b}"]
)
async def test_what_is_no_uuid_is_a_failed_attempt(scene: Scene, returned: object):
    """Whatever else a link returns is told in the reason."""
    await scene.start(configured(links=[link(lambda *_: returned, "odd")], max_attempts=1))
    [vcon_uuid] = await scene.feed()
    assert (await scene.ended()).status == "failed"
    reason = scene.reason("DLQ:in", vcon_uuid)
    assert "returns a vCon uuid or None, but this returned" in reason["error"]
    assert repr(returned)[:60] in reason["error"]
    assert (reason["step"], reason["kind"]) == ("odd", "link")


async def test_an_exception_uses_up_the_attempts_and_ends_in_the_dead_letters(scene: Scene):
    """As many attempts as the chain allows, then the reason says what and where."""
    tried: list[str] = []

    def fails(vcon_uuid: str, _name: str, _options: Any) -> str:
        tried.append(vcon_uuid)
        raise ValueError("no\nmore")

    links = [link(passes, "fine"), link(fails)]
    await scene.start(configured(links=links, max_attempts=3))
    [vcon_uuid] = await scene.feed()
    endings = [await scene.ended() for _ in range(3)]
    assert [(each.how, each.claim.attempt) for each in endings] == [
        ("later", 1),
        ("later", 2),
        ("finish", 3),
    ]
    assert len({each.claim.run_id for each in endings}) == 1
    assert tried == [vcon_uuid] * 3
    assert scene.elements("DLQ:in") == [vcon_uuid]
    reason = scene.reason("DLQ:in", vcon_uuid)
    assert {key: reason[key] for key in ("error", "step", "kind", "attempts", "chain")} == {
        "error": "ValueError: no",
        "step": "fails",
        "kind": "link",
        "attempts": 3,
        "chain": "main",
    }
    assert reason["run_id"] == endings[0].claim.run_id
    assert reason["worker"] == "one"
    assert scene.elements("out") == []


async def test_a_retry_goes_on_at_the_link_that_failed(scene: Scene):
    """Links that were done are not repeated by the next attempt."""
    calls: list[str] = []

    def counts(vcon_uuid: str, name: str, _options: Any) -> str:
        calls.append(name)
        if calls == ["a", "b"]:
            raise RuntimeError("once")
        return vcon_uuid

    await scene.start(configured(links=[link(counts, name) for name in "abc"]))
    await scene.feed()
    ended = await scene.finished()
    assert calls == ["a", "b", "b", "c"]
    assert ended.status == "done"
    assert ended.steps == [("a", "ok"), ("b", "ok"), ("c", "ok")]
    assert ended.run["attempts"] == 2
    assert ended.run["error"] is None


async def test_a_links_own_retries_use_no_attempt(scene: Scene):
    """With `retries` a link is called again within the attempt."""
    tried: list[int] = []

    async def third_time(vcon_uuid: str, _name: str, _options: Any) -> str:
        tried.append(1)
        if len(tried) < 3:
            raise RuntimeError("not yet")
        return vcon_uuid

    await scene.start(configured(links=[link(third_time, retries=2)]))
    await scene.feed()
    ended = await scene.ended()
    assert (ended.status, ended.claim.attempt, len(tried)) == ("done", 1, 3)


# --- plugins that misbehave


async def test_a_link_that_hangs_is_given_up_after_its_timeout(scene: Scene):
    """An async link is cancelled; the reason names the time."""
    cancelled = asyncio.Event()

    async def hangs(*_: Any) -> str:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.set()
        return ""

    await scene.start(configured(links=[link(hangs, timeout=0.05)], max_attempts=1))
    [vcon_uuid] = await scene.feed()
    assert (await scene.ended()).status == "failed"
    assert cancelled.is_set()
    reason = scene.reason("DLQ:in", vcon_uuid)
    assert reason["error"] == "TimeoutError: did not end within 0.05 s"


@pytest.fixture
def short_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls have a tenth of a second where the configuration says nothing."""
    monkeypatch.setattr(model, "CALL_SECONDS", 0.1)


async def test_a_link_among_several_in_one_thread_has_a_limit_by_default(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
):
    """The one that hangs is named, not the first."""
    monkeypatch.setattr(model, "CALL_SECONDS", 0.5)
    go_on = threading.Event()
    links = [link(passes, f"passes-{number}") for number in range(4)]
    hang = link(lambda *_: go_on.wait(PATIENCE), "hangs")
    await scene.start(configured(links=[*links, hang], max_attempts=1))
    try:
        [vcon_uuid] = await scene.feed()
        assert (await scene.ended()).status == "failed"
    finally:
        go_on.set()
    reason = scene.reason("DLQ:in", vcon_uuid)
    assert (reason["step"], reason["error"]) == ("hangs", "TimeoutError: did not end within 0.5 s")


@pytest.mark.usefixtures("short_defaults")
@pytest.mark.parametrize(("timeout", "ends"), [(None, "failed"), (math.inf, "done")])
async def test_a_link_has_as_long_as_it_wants_only_if_told(scene: Scene, timeout: Any, ends: str):
    """`timeout: none` is not the same as none given."""

    async def slow(vcon_uuid: str, *_: Any) -> str:
        await asyncio.sleep(0.3)
        return vcon_uuid

    await scene.start(configured(links=[link(slow, timeout=timeout)], max_attempts=1))
    await scene.feed()
    assert (await scene.ended()).status == ends


@pytest.mark.usefixtures("short_defaults")
async def test_a_storage_has_a_limit_by_default(scene: Scene):
    """The vCon becomes a dead letter of the storage."""
    await scene.start(configured(storages=[storage(_never)]))
    [vcon_uuid] = await scene.feed()
    await scene.ended()
    reason = scene.reason("DLQ:storage:shelf", vcon_uuid)
    assert "did not end within 0.1 s" in reason["error"]


async def test_a_chain_has_a_limit_by_default(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    """As one that is configured."""
    monkeypatch.setattr(model, "CHAIN_SECONDS", 0.05)
    await scene.start(configured(links=[link(_never)], max_attempts=1))
    [vcon_uuid] = await scene.feed()
    assert (await scene.ended()).status == "failed"
    assert "the chain did not end within 0.05 s" in scene.reason("DLQ:in", vcon_uuid)["error"]


async def _never(*_: Any) -> None:
    await asyncio.get_running_loop().create_future()


async def test_threads_that_hang_take_nobodys_place(scene: Scene):
    """When more sync links hang than there are threads, others run all the same."""
    go_on = threading.Event()
    hang = link(lambda *_: go_on.wait(PATIENCE), "hangs", timeout=0.05)
    hanging = configured(name="bad", links=[hang], ingress=("bad",), max_attempts=1)
    crew = await scene.start(both(hanging, configured(links=[link(passes)])), concurrency=1)
    try:
        await scene.feed("bad", count=3)
        assert [(await scene.ended()).status for _ in range(3)] == ["failed"] * 3
        await scene.feed("in")
        assert (await scene.ended()).status == "done"
    finally:
        go_on.set()
        await crew.stop()


@pytest.mark.parametrize("only_through_lib", [True, False])
async def test_a_thread_that_was_given_up_writes_no_more(scene: Scene, only_through_lib: bool):
    """What it stores after its time is refused, even though its run is still held."""
    go_on, refused, arrived = threading.Event(), threading.Event(), asyncio.Event()
    finish = asyncio.Event()

    def hangs(vcon_uuid: str, _name: str, _options: Any) -> str:
        go_on.wait(PATIENCE)
        try:
            VconRedis().store_vcon_dict(a_vcon(vcon_uuid, subject="late"))
        except Exception:
            refused.set()
        return vcon_uuid

    async def saves(*_: Any) -> None:
        arrived.set()
        await finish.wait()

    def second(vcon_uuid: str, _name: str, _options: Any) -> str:
        return vcon_uuid

    calls = iter([hangs, second])

    def first_hangs(*arguments: Any) -> str:
        return next(calls)(*arguments)

    late = link(
        first_hangs,
        "late",
        timeout=0.05,
        retries=1,
        only_through_lib=only_through_lib,
    )
    await scene.start(configured(links=[late], storages=[storage(saves)]))
    [vcon_uuid] = await scene.feed()
    async with asyncio.timeout(PATIENCE):
        await arrived.wait()
    go_on.set()
    assert await asyncio.to_thread(refused.wait, PATIENCE)
    finish.set()
    assert (await scene.ended()).status == "done"
    assert "subject" not in (await scene.store.get(vcon_uuid) or {})


async def test_a_link_that_ends_the_process_only_fails(scene: Scene):
    """`sys.exit` in a link, sync or async, is a failed attempt."""

    async def exits(*_: Any) -> str:
        sys.exit(3)

    for number, quits in enumerate([lambda *_: sys.exit(3), exits]):
        name = f"in{number}"
        chain = configured(links=[link(quits, "quits")], ingress=(name,), max_attempts=1)
        crew = await scene.start(chain, f"worker{number}")
        [vcon_uuid] = await scene.feed(name)
        assert (await scene.ended()).status == "failed"
        assert scene.reason(f"DLQ:{name}", vcon_uuid)["error"] == "SystemExit: called sys.exit(3)"
        assert not crew.task.done()


async def test_a_link_that_cancels_itself_only_fails(scene: Scene):
    """A cancellation that nobody asked for is the link's failure, not the end of the run."""

    async def gives_up(*_: Any) -> str:
        raise asyncio.CancelledError

    await scene.start(configured(links=[link(gives_up)], max_attempts=1))
    [vcon_uuid] = await scene.feed()
    assert (await scene.ended()).status == "failed"
    assert "cancelled" in scene.reason("DLQ:in", vcon_uuid)["error"]


async def test_the_chains_timeout_ends_the_attempt(scene: Scene):
    """When the chain's time is over, the link under way has failed, and the reason says why."""

    async def hangs(*_: Any) -> str:
        return await asyncio.get_running_loop().create_future()

    chain = configured(links=[link(passes, "fine"), link(hangs)], timeout=0.5, max_attempts=1)
    await scene.start(chain)
    [vcon_uuid] = await scene.feed()
    ended = await scene.ended()
    assert ended.steps == [("fine", "ok"), ("hangs", "failed")]
    reason = scene.reason("DLQ:in", vcon_uuid)
    assert reason["error"] == "TimeoutError: the chain did not end within 0.5 s"
    assert reason["step"] == "hangs"


async def test_the_chains_timeout_counts_for_storages_too(scene: Scene):
    """Storages that are done in time are kept; the others have failed."""

    async def hangs(*_: Any) -> None:
        await asyncio.get_running_loop().create_future()

    async def quick(*_: Any) -> None:
        return None

    shelves = [storage(quick, "quick"), storage(hangs, "slow")]
    await scene.start(configured(storages=shelves, timeout=0.5, max_attempts=1))
    [vcon_uuid] = await scene.feed()
    ended = await scene.ended()
    assert sorted(ended.steps) == [("quick", "ok"), ("slow", "failed")]
    assert scene.elements("DLQ:in") == [vcon_uuid]


async def test_a_thread_that_was_given_up_runs_no_further_link(scene: Scene):
    """When the chain's time is over while a sync link hangs, the next one does not run."""
    go_on, returned, later = threading.Event(), threading.Event(), []

    def hangs(vcon_uuid: str, _name: str, _options: Any) -> str:
        go_on.wait(PATIENCE)
        returned.set()
        return vcon_uuid

    def runs(vcon_uuid: str, _name: str, _options: Any) -> str:
        later.append(vcon_uuid)
        return vcon_uuid

    chain = configured(links=[link(hangs), link(runs)], timeout=0.1, max_attempts=1)
    crew = await scene.start(chain)
    await scene.feed()
    assert (await scene.ended()).steps == [("hangs", "failed")]
    pool = threading.enumerate()
    go_on.set()
    await asyncio.to_thread(returned.wait, PATIENCE)
    for thread in pool:
        if thread.name.startswith("plugin"):
            await asyncio.to_thread(thread.join, PATIENCE)
    assert later == []
    await crew.stop()


# --- documents


async def test_what_links_write_is_there_for_the_next_and_in_the_end(scene: Scene):
    """Sync and async writes are seen by the following link, by storages and afterwards."""
    stored: list[Any] = []

    def sync_writes(vcon_uuid: str, name: str, _options: Any) -> str:
        document = VconRedis().get_vcon_dict(vcon_uuid) or {}
        VconRedis().store_vcon_dict(document | {"subject": document.get("subject", "") + name})
        return vcon_uuid

    async def async_writes(vcon_uuid: str, name: str, _options: Any) -> str:
        document = await AsyncVconRedis().get_vcon_dict(vcon_uuid) or {}
        subject = document.get("subject", "") + name
        await AsyncVconRedis().store_vcon_dict(document | {"subject": subject})
        return vcon_uuid

    def save(vcon_uuid: str, _options: Any) -> None:
        stored.append(VconRedis().get_vcon_dict(vcon_uuid))

    through = [
        link(function, name, only_through_lib=through_lib)
        for function, name, through_lib in [
            (sync_writes, "a", True),
            (sync_writes, "b", True),
            (async_writes, "c", False),
            (async_writes, "d", True),
            (sync_writes, "e", False),
            (async_writes, "f", True),
        ]
    ]
    await scene.start(configured(links=through, storages=[storage(save)]))
    [vcon_uuid] = await scene.feed()
    assert (await scene.ended()).status == "done"
    assert [document["subject"] for document in stored] == ["abcdef"]
    assert scene.client.json().get(keys.vcon(vcon_uuid))["subject"] == "abcdef"


async def test_a_link_reads_what_it_has_written_after_looking_elsewhere(scene: Scene):
    """Reading another vCon in between makes nobody forget what was written to this one."""
    [other] = await scene.feed("elsewhere")

    async def looks_around(vcon_uuid: str, name: str, _options: Any) -> str:
        redis = AsyncVconRedis()
        await redis.store_vcon_dict(a_vcon(vcon_uuid, subject=name))
        await redis.get_vcon_dict(other)
        document = await redis.get_vcon_dict(vcon_uuid) or {}
        await redis.store_vcon_dict(document | {"extra": document.get("subject")})
        return vcon_uuid

    await scene.start(configured(links=[link(looks_around, "x", only_through_lib=True)]))
    [vcon_uuid] = await scene.feed()
    await scene.ended()
    document = scene.client.json().get(keys.vcon(vcon_uuid))
    assert (document.get("subject"), document.get("extra")) == ("x", "x")


# --- storages


async def test_storages_are_written_side_by_side(scene: Scene):
    """Each of two storages, one sync and one async, waits for the other to have begun."""
    met = threading.Barrier(2)

    def sync_save(*_: Any) -> None:
        met.wait(PATIENCE)

    async def async_save(*_: Any) -> None:
        await asyncio.to_thread(met.wait, PATIENCE)

    shelves = [storage(sync_save, "a"), storage(async_save, "b")]
    await scene.start(configured(storages=shelves))
    await scene.feed()
    assert (await scene.ended()).status == "done"


async def test_a_storage_that_stays_down_makes_the_run_partial(scene: Scene):
    """After its retries the id goes to that storage's dead letters; egress waits."""
    kept: list[str] = []
    tried: list[str] = []

    def fails(vcon_uuid: str, _options: Any) -> None:
        tried.append(vcon_uuid)
        raise OSError("disk full")

    good = storage(lambda vcon_uuid, _options: kept.append(vcon_uuid), "good")
    await scene.start(configured(storages=[good, storage(fails, "bad", retries=3)]))
    [vcon_uuid] = await scene.feed()
    ended = await scene.ended()
    assert ended.status == "partial"
    assert sorted(ended.steps) == [("bad", "failed"), ("good", "ok")]
    assert kept == [vcon_uuid]
    assert len(tried) == 4
    assert scene.elements("out") == []
    assert scene.elements("DLQ:in") == []
    assert scene.elements("DLQ:storage:bad") == [vcon_uuid]
    reason = scene.reason("DLQ:storage:bad", vcon_uuid)
    assert (reason["error"], reason["step"], reason["kind"]) == (
        "OSError: disk full",
        "bad",
        "storage",
    )
    assert scene.client.ttl(keys.vcon(vcon_uuid)) == -1


async def test_each_storage_has_its_own_reason(scene: Scene):
    """Two storages that fail alike are told apart."""

    def fails(*_: Any) -> None:
        raise OSError("no disk")

    await scene.start(configured(storages=[storage(fails, "a"), storage(fails, "b")]))
    [vcon_uuid] = await scene.feed()
    await scene.ended()
    steps = [scene.reason(f"DLQ:storage:{name}", vcon_uuid)["step"] for name in "ab"]
    assert steps == ["a", "b"]


async def test_a_storage_that_comes_round_is_no_failure(scene: Scene):
    """A retry that works leaves no trace in the outcome."""
    tried: list[str] = []

    async def second_time(vcon_uuid: str, _options: Any) -> None:
        tried.append(vcon_uuid)
        if len(tried) == 1:
            raise OSError("once")

    await scene.start(configured(storages=[storage(second_time, retries=1)], egress=()))
    [vcon_uuid] = await scene.feed()
    ended = await scene.ended()
    assert (ended.status, ended.steps, tried) == ("done", [("shelf", "ok")], [vcon_uuid] * 2)
    assert scene.client.ttl(keys.vcon(vcon_uuid)) > 0


async def test_a_quick_storage_is_journaled_while_a_slow_one_runs(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
):
    """What would be repeated after a death is only the storage that was not done."""
    monkeypatch.setattr("pipeline.worker.runner.SLOW_STEP", 0.01)
    go_on = asyncio.Event()
    journaled = asyncio.Event()
    write = journals.Checkpoints.write

    async def tells(self: Any, live: Any) -> None:
        await write(self, live)
        journaled.set()

    monkeypatch.setattr(journals.Checkpoints, "write", tells)

    async def quick(*_: Any) -> None:
        return None

    async def slow(*_: Any) -> None:
        await go_on.wait()

    shelves = [storage(quick, "quick"), storage(slow, "slow")]
    await scene.start(configured(storages=shelves))
    [vcon_uuid] = await scene.feed()
    async with asyncio.timeout(PATIENCE):
        await journaled.wait()
    [run_id] = scene.run_ids()
    assert [step["name"] for step in scene.journal(run_id)["steps"]] == ["quick"]
    go_on.set()
    assert (await scene.ended()).status == "done"
    assert vcon_uuid in scene.elements("out")


async def test_what_a_storage_writes_during_a_journal_is_kept(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
):
    """A journal without it is on its way: it goes to Redis with the next."""
    monkeypatch.setattr(journals, "SLOW_STEP", 0.0)
    begun, written, journaled = asyncio.Event(), asyncio.Event(), asyncio.Event()
    journal, write = Queues.checkpoint, journals.Checkpoints.write

    async def interrupted(*args: Any) -> int:
        held = await journal(*args)
        begun.set()
        await written.wait()
        return held

    async def tells(self: Any, live: Any) -> None:
        await write(self, live)
        journaled.set()

    monkeypatch.setattr(Queues, "checkpoint", interrupted)
    monkeypatch.setattr(journals.Checkpoints, "write", tells)

    async def quick(*_: Any) -> None:
        return None

    async def writes(vcon_uuid: str, _options: Any) -> None:
        await begun.wait()
        await AsyncVconRedis().store_vcon_dict(a_vcon(vcon_uuid, subject="stored"))
        written.set()
        await journaled.wait()

    shelves = [storage(quick, "quick"), storage(writes, "writes")]
    through_lib = [(spec, replace(loaded, only_through_lib=True)) for spec, loaded in shelves]
    await scene.start(configured(storages=through_lib))
    [vcon_uuid] = await scene.feed()
    assert (await scene.ended()).status == "done"
    assert scene.client.json().get(keys.vcon(vcon_uuid))["subject"] == "stored"


async def test_a_slow_link_is_journaled_at_once(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    """While the next link runs, the journal says that the slow one is done."""
    monkeypatch.setattr(journals, "SLOW_STEP", 0.0)
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def waits(vcon_uuid: str, _name: str, _options: Any) -> str:
        arrived.set()
        await go_on.wait()
        return vcon_uuid

    await scene.start(configured(links=[link(passes_async, "slow"), link(waits)]))
    await scene.feed()
    async with asyncio.timeout(PATIENCE):
        await arrived.wait()
    [run_id] = scene.run_ids()
    journal = scene.journal(run_id)
    assert journal["status"] == "running"
    assert [step["name"] for step in journal["steps"]] == ["slow"]
    go_on.set()
    assert (await scene.ended()).status == "done"


async def test_a_chain_of_nothing_just_forwards(scene: Scene):
    """Without links and storages an id goes straight to egress."""
    await scene.start(configured())
    [vcon_uuid] = await scene.feed()
    assert (await scene.ended()).status == "done"
    assert scene.elements("out") == [vcon_uuid]
    assert scene.client.ttl(keys.vcon(vcon_uuid)) == -1
