"""A replay, killed at every message to a server and at every await."""

from __future__ import annotations

from pipeline.admin.dead_letters import DeadLetters
from pipeline.custody.replay_rows import ReplayRows
from tests.integration.custody.crash_points import everywhere
from tests.integration.custody.killed_scene import KilledScene, Killing
from tests.integration.custody.test_every_crash_of_a_run import run_in
from tests.integration.custody.test_other_ends import into
from tests.integration.recovery.recovery_scene import RecoveryScene


def letters_of(scene: RecoveryScene) -> DeadLetters:
    """The dead letters, with the custody of replays."""
    rows = ReplayRows(scene.connection, "vcons", scene.keeper)
    return DeadLetters(scene.connection, run_expiry=60, rows=rows)


async def test_replay(killed: KilledScene) -> None:
    """The vCon is queued or a dead letter, never both, also if Redis is lost then."""

    async def attempt(killing: Killing) -> bool:
        replica = killed.begin()
        entry = await killed.whole.accept(["in"])
        await run_in(killed.whole, "alive", "failed")
        queued, letter = {"in": [entry.vcon_uuid]}, {"DLQ:in": [entry.vcon_uuid]}
        assert killed.queued() == letter
        work = letters_of(replica).replay
        was_killed = await killed.killed(killing, lambda: work("DLQ:in", into("in")))
        assert killed.queued() in (queued, letter)
        killed.whole.client.flushall()
        await killed.whole.recover()
        assert killed.queued() in (queued, letter)
        return was_killed

    assert min(await everywhere(attempt)) >= 2
