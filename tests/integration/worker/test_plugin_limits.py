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
from tests.time_limits import HOUR, NOT_IN_TIME, TimeIsUp

pytestmark = pytest.mark.usefixtures("at_once")


async def test_a_link_that_hangs_is_given_up_after_its_timeout(scene: Scene, time_is_up: TimeIsUp):
    """An async link is cancelled; the reason names the time."""
    cancelled = asyncio.Event()

    async def hangs(*_: Any) -> str:
        time_is_up()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.set()
        return ""

    await scene.start(configured(links=[link(hangs, timeout=HOUR)], max_attempts=1))
    [vcon_uuid] = await scene.feed()
    assert (await scene.ended()).status == "failed"
    assert cancelled.is_set()
    reason = scene.reason("DLQ:in", vcon_uuid)
    assert reason["error"] == f"TimeoutError: {NOT_IN_TIME}"


@pytest.fixture
def an_hour_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls have an hour where the configuration says nothing."""
    monkeypatch.setattr(model, "CALL_SECONDS", HOUR)


@pytest.mark.usefixtures("an_hour_by_default")
async def test_a_link_among_several_in_one_thread_has_a_limit_by_default(
    scene: Scene, time_is_up: TimeIsUp
):
    """The one that hangs is named, not the first."""
    go_on = threading.Event()
    links = [link(passes, f"passes-{number}") for number in range(4)]

    def hangs(*_: Any) -> None:
        time_is_up()
        go_on.wait(PATIENCE)

    hang = link(hangs)
    await scene.start(configured(links=[*links, hang], max_attempts=1))
    try:
        [vcon_uuid] = await scene.feed()
        assert (await scene.ended()).status == "failed"
    finally:
        go_on.set()
    reason = scene.reason("DLQ:in", vcon_uuid)
    assert (reason["step"], reason["error"]) == ("hangs", f"TimeoutError: {NOT_IN_TIME}")


@pytest.mark.usefixtures("an_hour_by_default")
@pytest.mark.parametrize(("timeout", "ends"), [(None, "failed"), (math.inf, "done")])
async def test_a_link_has_as_long_as_it_wants_only_if_told(
    scene: Scene, time_is_up: TimeIsUp, timeout: Any, ends: str
):
    """`timeout: none` is not the same as none given."""

    async def slow(vcon_uuid: str, *_: Any) -> str:
        time_is_up()
        await turns()
        return vcon_uuid

    await scene.start(configured(links=[link(slow, timeout=timeout)], max_attempts=1))
    await scene.feed()
    assert (await scene.ended()).status == ends


@pytest.mark.usefixtures("an_hour_by_default")
async def test_a_storage_has_a_limit_by_default(scene: Scene, time_is_up: TimeIsUp):
    """The vCon becomes a dead letter of the storage."""
    await scene.start(configured(storages=[storage(time_is_up.never)]))
    [vcon_uuid] = await scene.feed()
    await scene.ended()
    reason = scene.reason("DLQ:storage:shelf", vcon_uuid)
    assert NOT_IN_TIME in reason["error"]


async def test_a_chain_has_a_limit_by_default(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, time_is_up: TimeIsUp
):
    """As one that is configured."""
    monkeypatch.setattr(model, "CHAIN_SECONDS", HOUR)
    await scene.start(configured(links=[link(time_is_up.never)], max_attempts=1))
    [vcon_uuid] = await scene.feed()
    assert (await scene.ended()).status == "failed"
    assert f"the chain {NOT_IN_TIME}" in scene.reason("DLQ:in", vcon_uuid)["error"]


async def turns() -> None:
    """More turns of the event loop than any reaction to an event takes."""
    for _ in range(30):
        await asyncio.sleep(0)


async def test_hanging_threads_do_not_take_places_of_the_pool(scene: Scene, time_is_up: TimeIsUp):
    """When more sync links hang than there are threads, others run all the same."""
    go_on = threading.Event()

    def hangs(*_: Any) -> None:
        time_is_up()
        go_on.wait(PATIENCE)

    bad = [link(hangs, timeout=HOUR)]
    hanging = configured(name="bad", links=bad, ingress=("bad",), max_attempts=1)
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
async def test_a_thread_that_was_given_up_writes_no_more(
    scene: Scene, time_is_up: TimeIsUp, only_through_lib: bool
):
    """What it stores after its time is refused, even though its run is still held."""
    go_on, refused, arrived = threading.Event(), threading.Event(), asyncio.Event()
    finish = asyncio.Event()

    def hangs(vcon_uuid: str, _name: str, _options: Any) -> str:
        time_is_up()
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
        timeout=HOUR,
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


async def test_the_chains_timeout_ends_the_attempt(scene: Scene, time_is_up: TimeIsUp):
    """When the chain's time is over, the link under way has failed, and the reason says why."""
    hangs = link(time_is_up.never, "hangs")
    chain = configured(links=[link(passes, "fine"), hangs], timeout=HOUR, max_attempts=1)
    await scene.start(chain)
    [vcon_uuid] = await scene.feed()
    ended = await scene.ended()
    assert ended.steps == [("fine", "ok"), ("hangs", "failed")]
    reason = scene.reason("DLQ:in", vcon_uuid)
    assert reason["error"] == f"TimeoutError: the chain {NOT_IN_TIME}"
    assert reason["step"] == "hangs"


async def test_the_chains_timeout_counts_for_storages_too(scene: Scene, time_is_up: TimeIsUp):
    """Storages that are done in time are kept; the others have failed."""
    is_saved = asyncio.Event()

    async def hangs(*_: Any) -> None:
        await is_saved.wait()
        await turns()  # until it is noted
        time_is_up()
        await asyncio.get_running_loop().create_future()

    async def quick(*_: Any) -> None:
        is_saved.set()

    shelves = [storage(quick, "quick"), storage(hangs, "slow")]
    await scene.start(configured(storages=shelves, timeout=HOUR, max_attempts=1))
    [vcon_uuid] = await scene.feed()
    ended = await scene.ended()
    assert sorted(ended.steps) == [("quick", "ok"), ("slow", "failed")]
    assert scene.elements("DLQ:in") == [vcon_uuid]


async def test_a_thread_that_was_given_up_runs_no_further_link(scene: Scene, time_is_up: TimeIsUp):
    """When the chain's time is over while a sync link hangs, the next one does not run."""
    go_on, threads, later = threading.Event(), [], []

    def hangs(vcon_uuid: str, _name: str, _options: Any) -> str:
        threads.append(threading.current_thread())
        time_is_up()
        go_on.wait(PATIENCE)
        return vcon_uuid

    def runs(vcon_uuid: str, _name: str, _options: Any) -> str:
        later.append(vcon_uuid)
        return vcon_uuid

    chain = configured(links=[link(hangs), link(runs)], timeout=HOUR, max_attempts=1)
    crew = await scene.start(chain)
    await scene.feed()
    assert (await scene.ended()).steps == [("hangs", "failed")]
    go_on.set()
    [given_up] = threads
    await asyncio.to_thread(given_up.join, PATIENCE)
    assert not given_up.is_alive()
    assert later == []
    await crew.stop()
