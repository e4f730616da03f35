"""One run from the claim to its end: its links, their results and its documents."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from lib.vcon_redis import AsyncVconRedis, VconRedis
from pipeline.redis_client import keys
from tests.integration.support.pipeline_fixtures import (
    Scene,
    a_vcon,
    configured,
    link,
    new_uuid,
    storage,
)
from tests.integration.worker.worker_scene import passes

pytestmark = pytest.mark.usefixtures("at_once")


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
    """Any other result of a link is shown in the reason."""
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
    """Reading another vCon in between does not lose what was written to this one."""
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


async def test_a_chain_of_nothing_just_forwards(scene: Scene):
    """Without links and storages an id goes straight to egress."""
    await scene.start(configured())
    [vcon_uuid] = await scene.feed()
    assert (await scene.ended()).status == "done"
    assert scene.elements("out") == [vcon_uuid]
    assert scene.client.ttl(keys.vcon(vcon_uuid)) == -1
