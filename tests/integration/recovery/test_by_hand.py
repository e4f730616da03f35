"""A recovery that an operator asks for."""

from __future__ import annotations

from tests.integration.recovery.recovery_scene import RecoveryScene


async def test_a_forecast_changes_nothing(recovering: RecoveryScene) -> None:
    """It counts what would be queued and taken out."""
    await recovering.recover()
    entries = [await recovering.accept(["in"]) for _ in range(5)]
    recovering.release(entries[0], "in")
    recovering.client.delete("pc:holds:" + entries[1].vcon_uuid)
    recovering.client.hdel("pc:about:" + entries[1].vcon_uuid, "custody:in", "in:in")
    before = recovering.elements("in")
    told = await recovering.watch().forecast()
    assert told.counts == {"queued": 1, "taken out": 1}
    assert told.verdict == "Redis is the one that custody knows"
    assert recovering.elements("in") == before
    recovering.client.flushall()
    assert (await recovering.watch().forecast()).counts == {"queued": 4}
    assert not recovering.client.exists("in")


async def test_it_is_harmless_without_a_loss(recovering: RecoveryScene) -> None:
    """Nothing is queued twice; what is missing is queued."""
    await recovering.recover()
    entries = [await recovering.accept(["in"]) for _ in range(3)]
    watch = recovering.watch()
    assert (await watch.recover_now()).counts == {}
    assert recovering.elements("in") == [each.vcon_uuid for each in entries]
    recovering.client.flushall()
    told = await watch.recover_now()
    assert (told.counts, told.generation) == ({"queued": 3}, 3)
    assert watch.problem == ""
