"""A vCon that kills its worker is found among those that were in flight with it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pipeline.worker import worker
from tests.integration.support.pipeline_fixtures import (
    PATIENCE,
    Scene,
    configured,
    link,
)
from tests.integration.worker.worker_scene import Gate, kill, ok

pytestmark = pytest.mark.usefixtures("at_once")


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
    """One vCon kills each process that runs it; only it becomes a dead letter."""
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


async def test_a_worker_whose_task_is_cancelled_leaves_what_it_holds_in_flight(scene: Scene):
    """Its runs end with it, count as no attempts, and ask Redis for nothing any more."""
    gate = Gate()
    crew = await scene.start(configured(links=[link(gate.run, "gate")]))
    [fed] = await scene.feed()
    await gate.arrival()
    runs = [*crew.worker._runs.tasks.values()]
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
