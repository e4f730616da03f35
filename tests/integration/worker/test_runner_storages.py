"""The storages of a run, and its checkpoints."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest

from lib.vcon_redis import AsyncVconRedis
from pipeline.redis_client import keys
from pipeline.runs import lease as journals
from pipeline.runs.queues import Queues
from tests.integration.support.pipeline_fixtures import (
    PATIENCE,
    Scene,
    a_vcon,
    configured,
    link,
    storage,
)
from tests.integration.worker.worker_scene import passes_async

pytestmark = pytest.mark.usefixtures("at_once")


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
