"""What is counted about runs, links, storages and lists."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.core import Metric

from core.observability.metrics import REGISTRY
from pipeline.admin.queue_depths import QueueDepths
from pipeline.ingest.internal import InternalApi
from pipeline.live_config import Configuration
from pipeline.vcon.normalization import normalised
from tests.integration.support.pipeline_fixtures import Scene, a_vcon, configured, link, storage


def counted(chain: str) -> dict[tuple[str, ...], float]:
    """Everything counted of a chain: metric and labels to value, without buckets and sums."""
    return {
        (sample.name.removeprefix("patchcord_"), *list(sample.labels.values())[1:]): sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.labels.get("chain") == chain and sample.name.endswith(("_total", "_count"))
    }


def gauge(name: str) -> dict[str, float]:
    """A gauge's values by list."""
    [family] = (f for f in REGISTRY.collect() if f.name == f"patchcord_{name}")
    assert isinstance(family, Metric)
    return {sample.labels.get("list", ""): sample.value for sample in family.samples}


async def test_every_step_of_a_run_is_counted(scene: Scene) -> None:
    """Runs by status, links and storages by outcome, and how long each took."""

    def keep(vcon_uuid: str, _name: str, _opts: Any) -> str:
        return vcon_uuid

    def refuse(_uuid: str, _options: Any) -> None:
        raise OSError("full")

    chain = configured(
        name="counted",
        links=[link(keep, "first"), link(keep, "second")],
        storages=[storage(name="shelf"), storage(refuse, "broken")],
    )
    await scene.start(chain)
    await scene.feed(count=2)
    assert {(await scene.finished()).status for _ in range(2)} == {"partial"}
    assert counted("counted") == {
        ("runs_total", "partial"): 2,
        ("run_seconds_count",): 2,
        ("links_total", "first", "ok"): 2,
        ("links_total", "second", "ok"): 2,
        ("link_seconds_count", "first"): 2,
        ("link_seconds_count", "second"): 2,
        ("storages_total", "shelf", "ok"): 2,
        ("storages_total", "broken", "failed"): 2,
        ("storage_seconds_count", "shelf"): 2,
        ("storage_seconds_count", "broken"): 2,
    }


@pytest.mark.usefixtures("at_once")
async def test_an_earlier_attempts_steps_count_once(scene: Scene) -> None:
    """A repeated attempt counts what it has run itself, not what an earlier one had done."""
    failures = iter([OSError("once")])

    def fine(vcon_uuid: str, _name: str, _opts: Any) -> str:
        return vcon_uuid

    def moody(vcon_uuid: str, _name: str, _opts: Any) -> str:
        if error := next(failures, None):
            raise error
        return vcon_uuid

    chain = configured(name="repeated", links=[link(fine), link(moody)], max_attempts=2)
    await scene.start(chain)
    await scene.feed()
    await scene.finished()
    seen = counted("repeated")
    assert {key[1:]: value for key, value in seen.items() if key[0] == "links_total"} == {
        ("fine", "ok"): 1,
        ("moody", "failed"): 1,
        ("moody", "ok"): 1,
    }
    assert (seen["runs_total", "retried"], seen["runs_total", "done"]) == (1, 1)


async def test_a_run_that_was_taken_over_counts_where_it_ends(scene: Scene) -> None:
    """A worker that no longer holds a run does not count its end."""

    async def lose(vcon_uuid: str, _name: str, _opts: Any) -> str:
        await scene.queues.bury("one")
        await scene.redis.command("LTRIM", "in", 1, 0)
        return vcon_uuid

    await scene.start(configured(name="lost", links=[link(lose)]))
    await scene.feed()
    assert not (await scene.ended()).held
    assert counted("lost") == {}


@pytest.fixture
def lists() -> Configuration:
    """A chain between two lists, with a storage."""
    return configured(name="main", storages=[storage()])


async def test_lists_are_measured_on_request(scene: Scene, lists: Configuration) -> None:
    """Ingress, egress and dead letters, each under the list's own name; zero is told, too."""
    for name in ("in", "in", "out", "DLQ:in"):
        await scene.redis.command("RPUSH", name, "x")
    await scene.redis.command("HSET", "pc:locks", "x", "w")
    await QueueDepths(scene.redis, lists).look()
    assert gauge("ingress_depth") == {"in": 2, "run:main": 0}
    assert gauge("egress_depth") == {"out": 1}
    assert gauge("dead_letters") == {"DLQ:in": 1, "DLQ:run:main": 0, "DLQ:storage:shelf": 0}
    assert gauge("vcons_in_flight") == {"": 1}


async def test_without_redis_there_are_no_depths(
    scene: Scene, lists: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old numbers would look like new ones: while Redis does not answer in time, there are none."""
    await QueueDepths(scene.redis, lists).look()
    monkeypatch.setattr("core.concurrency.aio.SLICES", 1)  # at the first turn of the loop
    await QueueDepths(scene.redis, lists, seconds=0.0).look()
    assert gauge("ingress_depth") == gauge("dead_letters") == {}
    assert gauge("vcons_in_flight")[""] != gauge("vcons_in_flight")[""]  # NaN


async def test_what_comes_in_is_counted_by_list(scene: Scene) -> None:
    """New, and the same again; a list named twice is served and counted once."""
    chain = configured(name="main", ingress=("counting",))
    ingress = InternalApi(chain, 10**6, scene.intake, None)  # type: ignore[arg-type] -- no key comes in
    vcon = normalised(a_vcon())
    for _ in range(2):
        await ingress.take(vcon, ["counting", "counting"])
    [family] = (f for f in REGISTRY.collect() if f.name == "patchcord_vcons_received")
    mine = {
        sample.labels["outcome"]: sample.value
        for sample in family.samples
        if sample.labels["list"] == "counting"
    }
    assert mine == {"new": 1, "duplicate": 1}
