"""Steps that follow each other in one thread or one task."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest

from pipeline.config import model
from pipeline.redis_client import keys
from pipeline.runs.call_scope import remaining
from tests.integration.support.pipeline_fixtures import PATIENCE, Scene, configured, link, storage
from tests.time_limits import HOUR, NOT_IN_TIME, TimeIsUp

pytestmark = pytest.mark.usefixtures("at_once")


def in_thread(seen: list[int]) -> Any:
    """A sync plugin that notes its thread."""

    def run(vcon_uuid: str, *_: Any) -> str:
        seen.append(threading.get_ident())
        return vcon_uuid

    return run


async def test_a_sync_storage_is_saved_in_the_thread_of_the_links(scene: Scene) -> None:
    """Its step is noted like any other."""
    seen: list[int] = []
    links = [link(in_thread(seen), name) for name in ("one", "two")]
    await scene.start(configured(links=links, storages=[storage(in_thread(seen))]))
    await scene.feed()
    ended = await scene.ended()
    assert (ended.status, ended.steps) == (
        "done",
        [("one", "ok"), ("two", "ok"), ("shelf", "ok")],
    )
    assert len(seen) == 3
    assert len(set(seen)) == 1


@pytest.mark.parametrize(("fails", "status"), [(1, "done"), (2, "done"), (3, "partial")])
async def test_the_try_in_the_thread_is_the_first_of_those_allowed(
    scene: Scene, fails: int, status: str
) -> None:
    """Two retries follow it, no link is repeated, and the outcome is noted once."""
    tried: list[int] = []
    linked: list[int] = []

    def save(*_: Any) -> None:
        tried.append(threading.get_ident())
        if len(tried) <= fails:
            raise BaseException("disk full")  # noqa: TRY002 -- as a panic of an extension

    kept = storage(save, retries=2)
    await scene.start(configured(links=[link(in_thread(linked), "one")], storages=[kept]))
    await scene.feed()
    ended = await scene.ended()
    assert (ended.status, len(tried), len(linked)) == (status, min(fails + 1, 3), 1)
    assert ended.steps == [("one", "ok"), ("shelf", "ok" if status == "done" else "failed")]


async def test_a_storage_that_hangs_in_the_thread_of_the_links_is_given_up(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, time_is_up: TimeIsUp
) -> None:
    """It is the storage that fails, by its own limit; the links do not run again."""
    monkeypatch.setattr(model, "CALL_SECONDS", HOUR)
    linked: list[int] = []
    go_on = threading.Event()

    def hangs(*_: Any) -> None:
        time_is_up()
        go_on.wait(PATIENCE)

    kept = storage(hangs)
    await scene.start(configured(links=[link(in_thread(linked), "one")], storages=[kept]))
    try:
        [vcon_uuid] = await scene.feed()
        assert (await scene.ended()).status == "partial"
    finally:
        go_on.set()
    assert NOT_IN_TIME in scene.reason("DLQ:storage:shelf", vcon_uuid)["error"]
    assert len(linked) == 1


async def test_a_cancellation_before_the_storage_is_seen_in_the_thread(scene: Scene) -> None:
    """Redis is asked there: the message about it may be on its way."""
    saved: list[int] = []

    def cancelled(vcon_uuid: str, *_: Any) -> str:
        [live] = crew.worker._runs.cancellations.live.values()
        scene.client.set(keys.cancel(live.claim.run_id), "1")
        return vcon_uuid

    configuration = configured(links=[link(cancelled)], storages=[storage(in_thread(saved))])
    crew = await scene.start(configuration)
    await scene.feed()
    assert ((await scene.ended()).status, saved) == ("cancelled", [])


async def test_a_storage_in_the_thread_has_its_own_time(scene: Scene) -> None:
    """`remaining` tells it, as elsewhere."""
    told: list[float] = []
    kept = storage(lambda *_: told.append(remaining()))
    await scene.start(configured(links=[link(in_thread([]), "one")], storages=[kept]))
    await scene.feed()
    await scene.ended()
    assert model.CALL_SECONDS - PATIENCE < told[0] <= model.CALL_SECONDS


def in_task(seen: list[Any]) -> Any:
    """An async plugin that notes its task and its time."""

    async def run(vcon_uuid: str, *_: Any) -> str:
        seen.append((asyncio.current_task(), remaining()))
        await asyncio.sleep(0)
        return vcon_uuid

    return run


async def test_async_links_that_use_lib_only_share_a_task(scene: Scene) -> None:
    """Each has its own time."""
    seen: list[Any] = []
    links = [link(in_task(seen), name, only_through_lib=True) for name in ("one", "two")]
    await scene.start(configured(links=links))
    await scene.feed()
    ended = await scene.ended()
    assert (ended.status, ended.steps) == ("done", [("one", "ok"), ("two", "ok")])
    (first, left), (second, left_then) = seen
    assert first is second
    assert left == pytest.approx(left_then, abs=PATIENCE)
    assert left_then < model.CALL_SECONDS


async def test_other_async_links_have_tasks_of_their_own(scene: Scene) -> None:
    """So what one sets in its context does not reach the next."""
    seen: list[Any] = []
    links = [link(in_task(seen), name) for name in ("one", "two")]
    await scene.start(configured(links=links))
    await scene.feed()
    assert (await scene.ended()).status == "done"
    assert seen[0][0] is not seen[1][0]


async def test_a_link_that_cancels_its_task_fails_alone(scene: Scene) -> None:
    """The next one in the same task has not begun."""
    seen: list[Any] = []

    async def cancels(vcon_uuid: str, *_: Any) -> str:
        if len(seen) < 1:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        seen.append(vcon_uuid)
        return vcon_uuid

    step, loaded = link(cancels, "cancels", only_through_lib=True)
    after = link(in_task(seen), "after", only_through_lib=True)
    links = [(step, replace(loaded, is_async=True)), after]
    await scene.start(configured(links=links, max_attempts=1))
    [vcon_uuid] = await scene.feed()
    assert (await scene.ended()).status == "failed"
    assert scene.reason("DLQ:in", vcon_uuid)["step"] == "cancels"
    assert len(seen) == 1
