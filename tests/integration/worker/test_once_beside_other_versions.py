"""Steps that must not be repeated, when a version that ignores their marks had the run between."""

from __future__ import annotations

from typing import Any

import pytest

from core.observability.storable_text import storable_json
from pipeline.redis_client import keys
from tests.integration.support.pipeline_fixtures import PATIENCE, Scene, configured, link
from tests.integration.worker.worker_scene import Gate, kill

pytestmark = pytest.mark.usefixtures("at_once")
LETTERS = keys.dead_letters("in")


def chain(gate: Gate, **changes: Any) -> Any:
    """A chain of that step, with attempts left."""
    return configured(links=[link(gate.run, "slack", effect="once")], max_attempts=9, **changes)


@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize("is_kept", [True, False])
async def test_the_mark_is_dropped(scene: Scene, is_kept: bool, repeats: bool) -> None:
    """By a version that stops and gives the run back with its own checkpoint; or with that one."""
    gate = Gate()
    one = await scene.start(chain(gate), "one")
    [vcon_uuid] = await scene.feed()
    await gate.arrival()
    await kill(scene, one)
    [run_id] = scene.run_ids()
    run = scene.journal(run_id)
    del run["begun"]
    if not is_kept:
        scene.client.delete(keys.run(run_id))
    else:
        scene.client.set(keys.run(run_id), storable_json(run))
    gate.open.set()
    await scene.start(chain(gate, repeat_uncertain=repeats), "two", patience=PATIENCE)
    ended = await scene.finished()
    assert (ended.status, ended.claim.attempt) == ("done" if repeats else "failed", 2)
    assert gate.arrived.qsize() == repeats
    if not repeats:
        reason = scene.reason(LETTERS, vcon_uuid)
        assert (reason["uncertain"], reason["attempts"]) == (True, 2)
        assert "; the last time link slack had begun at 20" in reason["error"]
