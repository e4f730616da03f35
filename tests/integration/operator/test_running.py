"""`running` and `timeline`: with runs of real workers, waiting links and failing ones."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from core.errors import InvalidError
from pipeline.config.model import RetryBackoff
from pipeline.redis_client import keys
from schemas.operator.running import Running
from schemas.operator.timeline import Timeline
from tests.integration.support.pipeline_fixtures import (
    a_vcon,
    client,
    configured,
    link,
    new_uuid,
    redis,
    scene,
    storage,
)

if TYPE_CHECKING:
    from tests.integration.support.operator_scene import OperatorScene
    from tests.integration.support.pipeline_fixtures import Scene

__all__ = ["client", "redis", "scene"]

CHAIN = """
chains:
  main: {ingress_lists: [in, second], egress_lists: [out], storages: [shelf]}
storages:
  shelf: {module: storage.file, options: {path: /nowhere}}
"""


class Gate:
    """A link that waits until it is opened, and fails where it is told to."""

    def __init__(self) -> None:
        self.entered, self.opened = asyncio.Event(), asyncio.Event()
        self.error = ""

    async def wait(self, vcon_uuid: str, name: str, options: dict[str, Any]) -> str:
        """A link's run()."""
        self.entered.set()
        await self.opened.wait()
        if self.error:
            raise ValueError(self.error)
        return vcon_uuid


@pytest.fixture
def gate(operator: OperatorScene) -> Gate:
    """The only link of the chain."""
    operator.config.write_text(CHAIN)
    return Gate()


async def why(operator: OperatorScene, vcon: str) -> Timeline:
    """The timeline of a vCon."""
    found = await operator.perform("timeline", vcon_uuid=vcon)
    assert isinstance(found, Timeline)
    return found


async def running(operator: OperatorScene, **query: Any) -> Running:
    """What runs and waits."""
    found = await operator.perform("running", **query)
    assert isinstance(found, Running)
    return found


async def test_what_runs_and_what_waits_for_it(
    operator: OperatorScene, scene: Scene, gate: Gate
) -> None:
    """The run with its step and worker; another element of the same vCon; then nothing."""
    await scene.start(configured(links=[link(gate.wait)], ingress=("in", "second")))
    [vcon] = await scene.feed()
    await gate.entered.wait()
    await scene.redis.command("RPUSH", "second", vcon)
    while not await scene.redis.command("EXISTS", keys.waiting(vcon)):  # noqa: ASYNC110 - a server's event
        await asyncio.sleep(0)
    found = await running(operator)
    while found.in_flight[0].step is None:  # the worker reports it a moment later
        found = await running(operator)
    [held], [locked] = found.in_flight, found.locked
    assert (held.vcon, held.chain, held.step, held.kind, held.attempt) == (
        *(vcon, "main", "wait"),
        *("link", 1),
    )
    assert held.worker == "one"
    assert held.seconds is not None
    assert 0 <= held.seconds < 60
    assert (locked.vcon, locked.held_by, locked.waiting, locked.lists) == (
        *(vcon, "main", 1),
        ["second"],
    )
    story = await why(operator, vcon)
    assert story.state == "running"
    assert story.summary.startswith("Chain main is at wait for 0 s (worker one, attempt 1)")
    assert [place.kind for place in story.places] == ["in flight", "lock", "redis"]
    assert (await running(operator, chain="other")).in_flight == []
    gate.opened.set()
    await scene.finished()
    await scene.finished()
    found = await running(operator)
    assert (found.in_flight, found.in_flight_total, found.locked) == ([], 0, [])


async def test_a_retry_and_then_a_dead_letter(
    operator: OperatorScene, scene: Scene, gate: Gate
) -> None:
    """When the next attempt is due and why; at the end the reason and the command that helps."""
    gate.opened.set()
    gate.error = "no such account 4711"
    slow = RetryBackoff(1800.0, 1800.0)
    chain = configured(links=[link(gate.wait)], max_attempts=2, retry_backoff=slow)
    crew = await scene.start(chain)
    [vcon] = await scene.feed()
    await scene.ended()
    [retry] = (found := await running(operator)).retries
    assert (retry.vcon, retry.chain, retry.attempt, retry.list_name) == (vcon, "main", 1, "in")
    assert 0 < retry.due_in <= 3600
    assert "no such account 4711" in (retry.error or "")
    assert found.retries_total == 1
    story = await why(operator, vcon)
    assert (story.state, story.command) == ("retrying", "running")
    assert "no such account 4711; the next one is due in" in story.summary
    await crew.stop()
    scene.crews.remove(crew)

    await scene.redis.command("ZADD", keys.LATER, 0, f"in\n{vcon}")
    await scene.start(configured(links=[link(gate.wait)], max_attempts=2))
    await scene.finished()
    story = await why(operator, vcon)
    [letter] = [place for place in story.places if place.kind == "dead letter"]
    assert (story.state, letter.name, letter.step) == ("failed", "DLQ:in", "wait")
    assert story.command == f"replay --cause {letter.cause}"
    assert [event.what for event in story.events][-2:] == ["link", "ended"]
    assert story.events[-1].outcome == "failed"


async def test_a_vcon_that_waits_is_stored_and_is_read(
    operator: OperatorScene, scene: Scene, gate: Gate
) -> None:
    """In its list; with the step's times after the run; until its reader has acknowledged it."""
    [vcon] = await scene.feed()
    story = await why(operator, vcon)
    assert (story.state, story.command) == ("queued", "status")
    assert story.summary == "It waits in in for a worker of chain main"
    await scene.redis.command("HSET", keys.PAUSED, "main", "{}")
    paused = await why(operator, vcon)
    assert (paused.state, paused.command) == ("paused", "resume main")
    await scene.redis.command("HSET", keys.PAUSED, "main", '{"until":5}')  # it has ended
    assert (await why(operator, vcon)).state != "paused"
    await scene.redis.command("DEL", keys.PAUSED)
    gate.opened.set()
    await scene.start(configured(links=[link(gate.wait)], storages=[storage()]))
    await scene.finished()
    story = await why(operator, vcon)
    assert (story.state, story.stored, story.command) == ("waiting for a reader", ["shelf"], None)
    assert [event.what for event in story.events] == ["started", "link", "storage", "ended"]
    operator.redis.delete(keys.unread("out"))
    assert (await why(operator, vcon)).state == "finished"


async def test_the_command_draws_it(operator: OperatorScene, scene: Scene, gate: Gate) -> None:
    """The sentence, the command, places and events; with --json the same."""
    gate.opened.set()
    gate.error = "\x1b[2J<b>nothing</b>"
    await scene.start(configured(links=[link(gate.wait)]))
    [vcon] = await scene.feed()
    await scene.finished()
    ran = await operator.cli(f"why {vcon}")
    assert ran.code == 0
    assert ran.out.startswith(f"{vcon}: failed. It failed at wait and is in DLQ:in: ")
    assert "\x1b" not in ran.out
    assert (await operator.cli(f"why {vcon} --json")).json["state"] == "failed"
    assert (await operator.cli("running --json")).json["in_flight"] == []


async def test_nothing_is_known(operator: OperatorScene) -> None:
    """Another program's keys of another type are as good as missing; no uuid is refused."""
    vcon = new_uuid()
    assert (await why(operator, vcon)).state == "unknown"
    for key in (keys.about(vcon), keys.holds(vcon), keys.LATER, keys.LOCKS, keys.HISTORY, "in"):
        operator.redis.set(key, "another program's")
    story = await why(operator, vcon)
    assert (story.state, len(story.notes)) == ("unknown", 1)
    assert story.notes[0].startswith("runs that have not ended cannot be read: pc:later")
    with pytest.raises(InvalidError, match="vcon_uuid"):
        await why(operator, "../x")


async def test_the_history_is_away(
    operator: OperatorScene, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis answers alone, and the answer says what is missing."""
    [vcon] = await scene.feed()
    monkeypatch.setenv("POSTGRES_PORT", "1")
    story = await why(operator, vcon)
    assert story.state == "queued"
    assert [note.partition(":")[0] for note in story.notes] == [
        "the run history cannot be read",
        "the audit cannot be read",
    ]
    assert a_vcon(vcon)["uuid"] == story.vcon


async def test_stats_are_short(operator: OperatorScene, scene: Scene, gate: Gate) -> None:
    """Sums over all chains; errors without their texts."""
    await scene.feed(count=3)
    found = (await operator.perform("stats")).model_dump()
    assert (found["waiting"], found["in_flight"], found["replicas"]) == (3, 0, [])
