"""Marks of steps that must not be repeated, in custody: a loss of Redis does not repeat them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pipeline.recovery.places import Placing
from pipeline.redis_client.keys import MARKED
from tests.integration.custody.custody_scene import CustodyScene, rows
from tests.integration.support.pipeline_fixtures import configured, link
from tests.integration.worker.worker_scene import Gate, kill, ok

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
    """What recovery puts into Redis is a dead letter, and is not sent again."""
    gate = Gate()
    vcon_uuid = await kept.accept()
    crew = await kept.start(chain(gate))
    await gate.arrival()
    document = await kept.store.get(vcon_uuid)
    noted = state(kept)
    await kill(kept, crew)
    kept.client.flushall()
    kept.approve()
    row: Any = type("Row", (), {"state": noted, "vcon_uuid": vcon_uuid, "run_id": None})
    place = Placing(chain(gate).config).of(row, "in")
    assert document is not None
    await kept.store.put(document)
    run_id = noted["run_id"]
    assert place.attempts == f"{MARKED + 1}\n{run_id}"
    await kept.redis.command("SET", f"pc:run:{run_id}", place.journal)
    await kept.redis.command("HSET", "pc:attempts:in", vcon_uuid, f"{place.attempts}\n0")
    await kept.redis.command("RPUSH", "in", vcon_uuid)
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
    async with asyncio.timeout(20):
        ended = await kept.finished()
    assert crew is not None
    assert (ended.status, ended.claim.attempt) == ("done", 1)
