"""What the history tells to have ended is not queued again, though custody was not released."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.db.custody import key_of
from core.db.runs import RunHistory
from core.run_ids import new_run_id
from tests.integration.recovery.recovery_scene import RecoveryScene

VCON = "019aa000-0000-7000-8000-000000000001"


def _ran(scene: RecoveryScene, began: timedelta = timedelta(seconds=1), **changes: Any) -> None:
    """A run of `in` that a worker of another version has recorded, begun so long after now."""
    at = datetime.now(UTC) + began
    run: dict[str, Any] = {
        "run_id": new_run_id(),
        "chain": "main",
        "config_hash": "",
        "vcon_in": VCON,
        "vcon_out": VCON,
        "ingress_list": "in",
        "status": "done",
        "attempts": 1,
        "steps": [],
        "error": None,
        "worker": "w",
        "queued_at": None,
        "started_at": at.isoformat(),
        "finished_at": (at + timedelta(milliseconds=5)).isoformat(),
        "token": None,
    }
    RunHistory(scene.database).write_runs([run | changes])


async def _queued(scene: RecoveryScene, name: str = "in") -> list[str]:
    await scene.recover()
    scene.client.flushall()
    await scene.recover()
    return scene.elements(name)


@pytest.mark.parametrize("status", ["done", "halted", "cancelled"])
async def test_a_run_that_ended_without_a_release(recovering: RecoveryScene, status: str) -> None:
    """An earlier version settled it, or a worker with CUSTODY=redis."""
    recovering.commit("in", vcon_uuid=VCON)
    _ran(recovering, status=status)
    assert await _queued(recovering) == []


@pytest.mark.parametrize("status", ["failed", "partial", "queued", "running"])
async def test_a_run_that_left_something(recovering: RecoveryScene, status: str) -> None:
    """The dead letter of a failed one was in Redis alone."""
    recovering.commit("in", vcon_uuid=VCON)
    _ran(recovering, status=status)
    assert await _queued(recovering) == [VCON]


async def test_a_run_before_the_row(recovering: RecoveryScene) -> None:
    """The vCon was queued once more, and that run is still to come."""
    recovering.commit("in", vcon_uuid=VCON)
    _ran(recovering, timedelta(seconds=-5))
    assert await _queued(recovering) == [VCON]


async def test_a_run_of_an_earlier_row(recovering: RecoveryScene) -> None:
    """It may have begun before the later content was accepted: the clocks do not tell."""
    recovering.commit("in", vcon_uuid=VCON)
    recovering.commit("in", vcon_uuid=VCON, digest="other")
    _ran(recovering)
    assert await _queued(recovering) == [VCON]


async def test_a_run_long_after_both_rows(recovering: RecoveryScene) -> None:
    """No clock is wrong by so much."""
    recovering.commit("in", vcon_uuid=VCON)
    recovering.commit("in", vcon_uuid=VCON, digest="other")
    _ran(recovering, timedelta(minutes=2))
    assert await _queued(recovering) == []


async def test_a_run_that_released_another_row(recovering: RecoveryScene) -> None:
    """It had only what that row is of."""
    ref = recovering.commit("two", vcon_uuid=VCON)
    recovering.commit("in", vcon_uuid=VCON)
    _ran(recovering, token=7)
    recovering.release_row(key_of(ref)[1], "two", token=7)
    assert await _queued(recovering) == [VCON]


async def test_another_list_or_vcon(recovering: RecoveryScene) -> None:
    """A list is not ended by the run of another one, nor by that of another vCon."""
    recovering.commit("in", vcon_uuid=VCON)
    _ran(recovering, ingress_list="two")
    _ran(recovering, vcon_in=VCON[:-1] + "2")
    assert await _queued(recovering) == [VCON]


async def test_a_requested_run(recovering: RecoveryScene) -> None:
    """It is known by its id, at any time."""
    run, other = new_run_id(), new_run_id()
    for each in (run, other):
        recovering.commit(f"run:main|{each}", vcon_uuid=VCON, run_id=each)
    _ran(recovering, timedelta(seconds=-9), run_id=run, ingress_list=None)
    assert await _queued(recovering, "run:main") == [f"{VCON}|{other}"]


async def test_a_replay_under_the_id_of_its_row(recovering: RecoveryScene) -> None:
    """Its row has the checkpoint from which it goes on."""
    run = new_run_id()
    state = {"run_id": run, "status": "queued", "attempts": 0, "steps": []}
    recovering.commit("in", vcon_uuid=VCON, run_id=run, state=state)
    _ran(recovering, run_id=run)
    assert await _queued(recovering) == []


async def test_a_list_that_the_run_has_filled(recovering: RecoveryScene) -> None:
    """A chain may hand out to the list that it reads; that is not ended by its own run."""
    run = new_run_id()
    recovering.commit("in", vcon_uuid=VCON, run_id=run)
    _ran(recovering, run_id=run)
    assert await _queued(recovering) == [VCON]


async def test_dead_letters_and_egress(recovering: RecoveryScene) -> None:
    """They end without a run; their own has ended before."""
    run = new_run_id()
    recovering.commit("out", vcon_uuid=VCON, run_id=run)
    recovering.commit("DLQ:in", vcon_uuid=VCON, run_id=run, state={"reason": {"list_name": "in"}})
    _ran(recovering, run_id=run)
    assert await _queued(recovering, "out") == [VCON]
    assert recovering.elements("DLQ:in") == [VCON]
