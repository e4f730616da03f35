"""Accepting, releasing and recovering, killed at every message to a server and at every await."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.custody.crash_points import everywhere, is_await
from tests.integration.custody.custody_scene import an_entry
from tests.integration.custody.killed_scene import KilledScene, Killing
from tests.integration.recovery.recovery_scene import RecoveryScene


@pytest.mark.parametrize("is_lost", [False, True])
async def test_accept(killed: KilledScene, is_lost: bool) -> None:
    """The caller of a killed process repeats the request: one element, also after a loss."""

    async def attempt(killing: Killing) -> bool:
        replica, entry = killed.begin(), an_entry()
        lists = ["in", "two"]
        was_killed = await killed.killed(killing, lambda: replica.intake.ingest(entry, lists))
        if not was_killed:
            killed.check()
        if is_lost:
            await killed.lose_redis()
        await killed.whole.intake.ingest(entry, lists)
        both = {name: [entry.vcon_uuid] for name in lists}
        assert killed.queued() == both
        await killed.lose_redis()
        assert killed.queued() == both
        return was_killed

    assert min(await everywhere(attempt)) >= 2


async def some_rows(whole: RecoveryScene) -> dict[str, list[str]]:
    """What must be queued: of vCons for one and two lists, a settled one and a dead letter."""
    accepting = (whole.accept(lists) for lists in (["in"], ["in", "two"], ["two"]))
    one, both, done = await asyncio.gather(*accepting)
    whole.release(done, "two")
    letter = an_entry().vcon_uuid
    state = {"reason": {"list_name": "in", "error": "x"}}
    whole.commit("DLQ:in", vcon_uuid=letter, state=state)
    lists = {"in": sorted([one.vcon_uuid, both.vcon_uuid]), "two": [both.vcon_uuid]}
    return lists | {"DLQ:in": [letter]}


@pytest.mark.parametrize("is_older", [False, True])
async def test_recover(killed: KilledScene, is_older: bool) -> None:
    """Another replica goes on: each open place is queued once, nothing released is.

    `is_older`: Redis has data of an earlier time, else none. After a kill at an await it is emptied
    once more. What is killed after the same messages leaves the same servers: recovered once.
    """
    seen: set[tuple[bool, int]] = set()

    async def attempt(killing: Killing) -> bool:
        replica = killed.begin()
        wanted = await some_rows(killed.whole)
        if is_older:
            killed.whole.client.set("pc:tokens", 0)
            killed.whole.client.hset("pc:epoch", "generation", "0")
        else:
            killed.whole.client.flushall()
        was_killed = await killed.killed(killing, lambda: replica.watch("killed").finish())
        is_lost = is_await(killing)
        if was_killed and (is_lost, killed.changes) in seen:
            return True
        seen.add((is_lost, killed.changes))
        killed.whole.some_time_later()
        if is_lost:
            killed.whole.client.flushall()
        await killed.whole.recover()
        killed.check()
        assert killed.queued() == wanted
        return was_killed

    assert min(await everywhere(attempt)) > 20
    assert len(seen) > 40
