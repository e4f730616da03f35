"""Plugins that hang, exit or cancel: time limits of links, storages and chains."""

from __future__ import annotations

import asyncio
import math
import sys
import threading
from typing import Any

import pytest

from lib.vcon_redis import VconRedis
from pipeline.config import model
from tests.integration.support.pipeline_fixtures import (
    PATIENCE,
    Scene,
    a_vcon,
    both,
    configured,
    link,
    storage,
)
from tests.integration.worker.worker_scene import passes

pytestmark = pytest.mark.usefixtures("at_once")


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


async def test_hanging_threads_do_not_take_places_of_the_pool(scene: Scene):
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
    """A link's own cancellation is its failure, not the end of the run."""

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
    go_on, threads, later = threading.Event(), [], []

    def hangs(vcon_uuid: str, _name: str, _options: Any) -> str:
        threads.append(threading.current_thread())
        go_on.wait(PATIENCE)
        return vcon_uuid

    def runs(vcon_uuid: str, _name: str, _options: Any) -> str:
        later.append(vcon_uuid)
        return vcon_uuid

    chain = configured(links=[link(hangs), link(runs)], timeout=0.1, max_attempts=1)
    crew = await scene.start(chain)
    await scene.feed()
    assert (await scene.ended()).steps == [("hangs", "failed")]
    go_on.set()
    [given_up] = threads
    await asyncio.to_thread(given_up.join, PATIENCE)
    assert not given_up.is_alive()
    assert later == []
    await crew.stop()
