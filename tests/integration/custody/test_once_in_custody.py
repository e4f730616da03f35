"""Marks of steps that must not be repeated, in custody: a loss of Redis does not repeat them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from schemas.run import MARKED
from tests.integration.custody.custody_scene import CustodyScene, rows
from tests.integration.recovery.recovery_scene import RecoveryScene
from tests.integration.support.pipeline_fixtures import configured, link
from tests.integration.worker.worker_scene import Gate, kill, ok
from tests.time_limits import HOUR, TimeIsUp

pytestmark = pytest.mark.usefixtures("at_once")


def chain(gate: Gate, *more: Any) -> Any:
    """A chain with a link before that step."""
    return configured(links=[link(ok), link(gate.run, "slack", effect="once"), *more])


def state(kept: CustodyScene) -> dict[str, Any]:
    """What the row has of the run."""
    [(found, _)] = rows(kept.database, "state, number")
    return found


async def test_the_mark_is_committed_before_the_step(kept: CustodyScene) -> None:
    """And the result after it; an earlier version finds no attempt left in the row."""
    gate, later = Gate(), Gate()
    await kept.accept()
    await kept.start(chain(gate, link(later.run, "later")))
    await gate.arrival()
    noted = state(kept)
    [mark] = noted["begun"]
    assert (mark["kind"], mark["name"], mark["index"]) == ("link", "slack", 1)
    assert [step["name"] for step in noted["steps"]] == ["ok"]
    assert noted["attempts"] == MARKED + 1
    gate.open.set()
    await later.arrival()
    noted = state(kept)
    assert "begun" not in noted
    assert [step["name"] for step in noted["steps"]] == ["ok", "slack"]
    later.open.set()
    assert (await kept.finished()).status == "done"


async def test_redis_is_lost_in_the_step(kept: CustodyScene) -> None:
    """A recovery puts it into Redis, where it becomes a dead letter, and is not sent again."""
    gate = Gate()
    vcon_uuid = await kept.accept()
    crew = await kept.start(chain(gate))
    await gate.arrival()
    await kill(kept, crew)
    kept.client.flushall()
    recovering = RecoveryScene(kept.redis, kept.client, kept.database, kept.calls)
    await recovering.recover()
    assert recovering.elements("in") == [vcon_uuid]
    run_id = state(kept)["run_id"]
    assert kept.client.hget("pc:attempts:in", vcon_uuid) == f"{MARKED + 1}\n{run_id}\n0"
    gate.open.set()
    await kept.start(chain(gate), "two")
    ended = await kept.finished()
    assert (ended.status, ended.run["recovered"]) == ("failed", True)
    assert "link slack may have happened" in ended.run["error"]
    assert gate.arrived.empty()


async def test_postgres_is_away_before_the_step(
    kept: CustodyScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run waits without using an attempt: the mark would be lost with Redis."""
    gate, away = Gate(), [False]
    gate.open.set()
    noted = type(kept.settling).note

    async def note(self: Any, checkpoint: Any) -> bool:
        return False if away else await noted(self, checkpoint)

    monkeypatch.setattr(type(kept.settling), "note", note)
    await kept.accept()
    await kept.start(chain(gate))
    aside = await kept.ended()
    assert (aside.how, gate.arrived.empty()) == ("aside", True)
    assert aside.run["error"] == "waits for custody in Postgres, which does not answer"
    away.clear()
    await kept.redis.command("ZADD", "pc:later", "XX", 0, f"in\n{aside.claim.element}")
    [crew] = kept.crews
    async with asyncio.timeout(60):
        ended = await kept.finished()
    assert crew is not None
    assert (ended.status, ended.claim.attempt) == ("done", 1)


async def test_the_time_is_over_before_the_step(
    kept: CustodyScene, monkeypatch: pytest.MonkeyPatch, time_is_up: TimeIsUp
) -> None:
    """While the mark is committed: the step has not begun, and a replay needs no word about it."""
    gate, never = Gate(), asyncio.Event()

    async def note(*_: Any) -> bool:
        time_is_up()
        return await never.wait()

    monkeypatch.setattr(type(kept.settling), "note", note)
    vcon_uuid = await kept.accept()
    configuration = configured(
        links=[link(ok), link(gate.run, "slack", effect="once")], timeout=HOUR, max_attempts=1
    )
    await kept.start(configuration)
    ended = await kept.finished()
    assert (ended.status, gate.arrived.empty()) == ("failed", True)
    reason = kept.reason("DLQ:in", vcon_uuid)
    assert "uncertain" not in reason
    assert "begun" not in ended.run
