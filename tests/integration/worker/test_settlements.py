"""Every run is settled, also if the worker itself fails."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Generator
from typing import Any

import pytest

from pipeline.live_config import Configuration
from pipeline.redis_client import keys
from pipeline.runs.queues import Queues
from pipeline.worker import run_settler, worker
from pipeline.worker.runs_in_progress import RunsInProgress
from tests.integration.support.pipeline_fixtures import (
    Scene,
    configured,
    link,
    storage,
    tracer,
)
from tests.integration.worker.worker_scene import Unexpected, raising, touches

pytestmark = pytest.mark.usefixtures("at_once")


@types.coroutine
def interrupted(coroutine: Any, at: int, steps: list[int]) -> Generator[Any, Any, Any]:
    """Carry a coroutine out, but raise `Unexpected` where it waits for the `at`-th time."""
    method, value = coroutine.send, None
    while True:
        try:
            waits_for = method(value)
        except StopIteration as over:
            return over.value
        steps[0] += 1
        if steps[0] == at:
            method, value = coroutine.throw, Unexpected(f"at wait {at}")
            continue
        try:
            method, value = coroutine.send, (yield waits_for)
        except BaseException as error:
            method, value = coroutine.throw, error


def busy_chain(max_attempts: int) -> Configuration:
    """A chain that does everything that a run can do."""

    async def saves(*_: Any) -> None:
        await asyncio.sleep(0)

    return configured(
        links=[link(touches, "one"), link(lambda uuid, *_: uuid, "two"), link(touches, "three")],
        storages=[storage(saves, "shelf"), storage(lambda *_: None, "other")],
        tracers=[tracer(touches)],
        max_attempts=max_attempts,
    )


async def waits_of_a_run(scene: Scene, monkeypatch: pytest.MonkeyPatch, at: int) -> list[int]:
    """Let the next attempt meet `Unexpected` at a wait; how often it has waited, as it goes."""
    work_on, steps = RunsInProgress._attempt, [0]

    async def interrupted_once(self: RunsInProgress, *arguments: Any) -> bool:
        if steps[0]:
            return await work_on(self, *arguments)
        held: bool = await interrupted(work_on(self, *arguments), at, steps)
        return held

    monkeypatch.setattr(RunsInProgress, "_attempt", interrupted_once)
    return steps


@pytest.mark.parametrize("max_attempts", [1, 3])
async def test_a_run_ends_wherever_its_task_is_broken(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, max_attempts: int
) -> None:
    """An error that nothing is written for, at each wait of run and settlement in turn.

    The run is done at its next attempt, or a dead letter that says what happened.
    """
    crew = await scene.start(busy_chain(max_attempts))
    at, broken = 1, True
    while broken:
        with monkeypatch.context() as patch:
            steps = await waits_of_a_run(scene, patch, at)
            [vcon_uuid] = await scene.feed()
            await over(scene, vcon_uuid)
            await crew.worker.idle()
        broken = steps[0] >= at
        is_dead = vcon_uuid in scene.elements("DLQ:in")
        assert is_dead != (vcon_uuid in scene.elements("out")), at
        if is_dead:
            assert max_attempts == 1
            assert scene.reason("DLQ:in", vcon_uuid)["error"] == f"Unexpected: at wait {at}"
        at += 1
    assert at > 10
    assert scene.client.hgetall(keys.inflight("one")) == {}
    assert scene.client.hgetall("pc:locks") == {}


async def test_the_end_of_the_event_loop_is_no_attempt(scene: Scene) -> None:
    """A plugin may stop it for all that run beside it; they become suspects, one is charged later.

    `asyncio.Runner` cancels all tasks then.
    """
    running, both = 0, asyncio.Event()

    async def waits(*_: Any) -> None:
        nonlocal running
        running += 1
        if running == 2:
            both.set()
        await asyncio.Event().wait()

    before = asyncio.all_tasks()
    crew = await scene.start(configured(links=[link(waits)]))
    vcon_uuids = await scene.feed(count=2)
    await both.wait()
    ended = asyncio.all_tasks() - before
    for task in ended:
        task.cancel()
    await asyncio.gather(*ended, return_exceptions=True)
    await crew.dismiss()
    assert set(scene.client.hkeys(keys.inflight("one"))) == set(vcon_uuids)
    await scene.queues.rescue("one")
    assert {past.split("\n")[0] for past in scene.client.hvals("pc:attempts:in")} == {"0"}


async def over(scene: Scene, vcon_uuid: str) -> None:
    """Until a run has ended in Redis."""
    while vcon_uuid not in (*scene.elements("out"), *scene.elements("DLQ:in")):
        await scene.ended()


@pytest.mark.parametrize("name", ["finish", "retry_later"])
async def test_a_settlement_that_fails_is_made_up_for(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Also when the last resort fails as well: it is tried again, and the attempt counts."""
    monkeypatch.setattr(worker, "UNCLAIMED_SECONDS", 0.02)
    real, failures = getattr(Queues, name), [Unexpected(name), Unexpected(name), Unexpected(name)]

    async def fails(self: Queues, *arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return await real(self, *arguments)

    monkeypatch.setattr(Queues, name, fails)
    rude = raising(ValueError("no"), is_async=True)
    await scene.start(configured(links=[link(rude)], max_attempts=2))
    [vcon_uuid] = await scene.feed()
    await over(scene, vcon_uuid)
    reason = scene.reason("DLQ:in", vcon_uuid)
    assert (reason["attempts"], failures) == (2, [])
    assert scene.client.hgetall("pc:locks") == {}


async def test_a_claim_that_fails_is_made_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What it took before it failed goes back to its list, at no attempt."""
    monkeypatch.setattr(worker, "CLAIM_PAUSE", 0.01)
    real, failures = Queues.claim, [TypeError("odd reply")]

    async def fails(self: Queues, *arguments: Any, **options: Any) -> Any:
        claims = await real(self, *arguments, **options)
        if claims.claims and failures:
            raise failures.pop()
        return claims

    monkeypatch.setattr(Queues, "claim", fails)
    await scene.start(configured(links=[link(touches)]))
    [vcon_uuid] = await scene.feed()
    ended = await scene.finished()
    assert (ended.claim.vcon_uuid, ended.status, ended.claim.attempt) == (vcon_uuid, "done", 1)
    assert "claim failed" in caplog.messages


async def test_a_dead_letter_list_that_is_none_keeps_no_run_for_ever(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run waits outside the worker, no link runs again, and the first reason is kept."""
    monkeypatch.setattr(run_settler, "REFUSED_PAUSE", 0.01)
    tried: list[str] = []

    async def fails(vcon_uuid: str, *_: Any) -> None:
        tried.append(vcon_uuid)
        raise ValueError("the first reason")

    scene.client.set("DLQ:in", "a text")
    crew = await scene.start(configured(links=[link(fails)], max_attempts=1))
    [vcon_uuid] = await scene.feed()
    assert (await scene.ended()).how == "later"
    await crew.worker.idle()
    assert scene.client.hgetall("pc:locks") == {}
    scene.client.delete("DLQ:in")
    await over(scene, vcon_uuid)
    assert "the first reason" in scene.reason("DLQ:in", vcon_uuid)["error"]
    assert tried == [vcon_uuid]


@pytest.mark.parametrize("journal", ["no json", "[]", "{}", '{"queued_at": 1, "status": 2}'])
async def test_a_journal_that_is_none_counts_for_nothing(scene: Scene, journal: str) -> None:
    """The run starts over."""
    [vcon_uuid] = await scene.feed(document=True)
    scene.client.hset("pc:attempts:in", vcon_uuid, "0\nsome-run\n0")
    scene.client.set(keys.run("some-run"), journal)
    await scene.start(configured(links=[link(touches)]))
    ended = await scene.finished()
    assert (ended.status, ended.claim.run_id) == ("done", "some-run")
