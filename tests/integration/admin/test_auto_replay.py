"""A storage's dead letters come back by themselves once it answers again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pipeline.admin import auto_replay
from pipeline.admin.auto_replay import AutoReplay
from pipeline.redis_client import keys
from tests.integration.support.operations_scene import Operations, operations
from tests.integration.support.pipeline_fixtures import PATIENCE, configured, storage


class Shelf:
    """A storage that is down or up, and counts."""

    def __init__(self) -> None:
        self.up = False
        self.poison: set[str] = set()
        self.saved: list[str] = []
        self.tries = 0

    def save(self, vcon_uuid: str, options: dict[str, Any]) -> None:
        """Take a vCon, when up; never one that is poison."""
        self.tries += 1
        if not self.up or vcon_uuid in self.poison:
            raise OSError("down")
        self.saved.append(vcon_uuid)


@pytest.fixture
def shelf() -> Shelf:
    """A storage that is down."""
    return Shelf()


@pytest.fixture
async def ops(redis_url: str, shelf: Shelf) -> AsyncIterator[Operations]:
    """A chain from `in` into the shelf to `out`."""
    async with operations(redis_url) as opened:
        opened.configure(configured(storages=[storage(shelf.save, "shelf")]))
        yield opened


def replaying(ops: Operations, interval: float = 60.0) -> AutoReplay:
    """One replica's replayer."""
    return AutoReplay(ops.redis, ops.configuration, ops.operations, interval)


async def refused(ops: Operations, count: int) -> list[str]:
    """Starts a worker and lets the shelf refuse vCons; they are in this order."""
    await ops.workers.start(ops.configuration, concurrency=1)
    uuids = await ops.workers.feed("in", count=count)
    for _ in uuids:
        assert (await ops.workers.finished()).status == "partial"
    return uuids


async def rounds_until_empty(ops: Operations, replica: AutoReplay) -> list[int]:
    """Replay until no dead letter is left; how many vCons each round has tried."""
    sizes = []
    while ops.list("DLQ:storage:shelf"):
        before = len(ops.list("DLQ:storage:shelf"))
        await replica.round()
        sizes.append(before - len(ops.list("DLQ:storage:shelf")))
        for _ in range(sizes[-1]):
            await ops.workers.finished()
    return sizes


async def test_all_come_back_in_growing_batches(ops: Operations, shelf: Shelf) -> None:
    """One vCon first; each time all were taken, twice as many; every one is forwarded once."""
    uuids = await refused(ops, 10)
    shelf.up = True
    assert await rounds_until_empty(ops, replaying(ops)) == [1, 2, 4, 3]
    assert (shelf.saved, ops.list("out")) == (uuids, uuids)


async def test_a_storage_that_is_down_is_tried_with_one_vcon_at_a_time(
    ops: Operations, shelf: Shelf
) -> None:
    """After a refusal nothing is tried for some rounds; then it is the next vCon's turn."""
    first, second, third = await refused(ops, 3)
    replica, tries = replaying(ops), shelf.tries
    await replica.round()
    await ops.workers.finished()
    for _ in range(2):
        await replica.round()
        assert ops.list("DLQ:storage:shelf") == [second, third, first]
    await replica.round()
    await replica.round()
    assert (await ops.workers.finished()).claim.vcon_uuid == second
    assert shelf.tries == tries + 2


async def test_nothing_more_is_tried_before_the_trial_has_ended(ops: Operations) -> None:
    """A run that waits or goes on keeps the others back, however many rounds pass."""
    await refused(ops, 3)
    await ops.workers.crews[0].stop()
    replica = replaying(ops)
    for _ in range(5):
        await replica.round()
    assert (len(ops.list("in")), len(ops.list("DLQ:storage:shelf"))) == (1, 2)


async def test_a_vcon_that_is_never_taken_keeps_nobody_back(ops: Operations, shelf: Shelf) -> None:
    """A storage that refuses one vCon gets all the others."""
    uuids = await refused(ops, 6)
    shelf.up, shelf.poison = True, {uuids[0]}
    replica = replaying(ops)
    async with asyncio.timeout(PATIENCE):
        while len(shelf.saved) < 5:
            waiting = len(ops.list("DLQ:storage:shelf"))
            await replica.round()
            for _ in range(waiting - len(ops.list("DLQ:storage:shelf"))):
                await ops.workers.finished()
    assert shelf.saved == uuids[1:]
    assert ops.list("DLQ:storage:shelf") == [uuids[0]]


async def test_what_nobody_reads_keeps_nobody_back(ops: Operations, shelf: Shelf) -> None:
    """An entry whose list has no reader is skipped."""
    [stranger] = await ops.workers.feed("DLQ:storage:shelf")
    reason = '{"list_name": "unread", "run_id": "gone"}'
    ops.client.hset(keys.reasons("DLQ:storage:shelf"), stranger, reason)
    [vcon_uuid] = await refused(ops, 1)
    shelf.up = True
    await replaying(ops).round()
    await ops.workers.finished()
    assert (shelf.saved, ops.list("DLQ:storage:shelf")) == ([vcon_uuid], [stranger])


async def test_without_memory_all_come_back(ops: Operations, shelf: Shelf) -> None:
    """What they take up is what there is too little of."""
    [vcon_uuid] = await refused(ops, 1)
    shelf.up = True
    ops.client.config_set("maxmemory", 1)
    try:
        await replaying(ops).round()
        assert (await ops.workers.finished()).status == "done"
    finally:
        ops.client.config_set("maxmemory", 0)
    assert shelf.saved == [vcon_uuid]


async def test_one_replica_tries(ops: Operations) -> None:
    """While one replica looks after a storage, another leaves it alone."""
    await refused(ops, 2)
    await ops.workers.crews[0].stop()
    one, other = replaying(ops), replaying(ops)
    await one.round()
    await other.round()
    await one.round()
    assert len(ops.list("in")) == 1


async def test_another_replica_takes_over(ops: Operations) -> None:
    """When the one that looked after a storage is gone, its claim runs out."""
    await refused(ops, 2)
    await ops.workers.crews[0].stop()
    one, other = replaying(ops), replaying(ops)
    await one.round()
    assert 0 < ops.client.pttl(keys.replayer("shelf")) <= 60_000 * auto_replay.OWNED_ROUNDS
    ops.client.delete(keys.replayer("shelf"))  # as when its time is over
    await other.round()
    assert len(ops.list("in")) == 2


async def test_a_new_outage_begins_with_one_vcon_again(ops: Operations, shelf: Shelf) -> None:
    """Once no dead letter is left, nothing is known of the storage any more."""
    await refused(ops, 7)
    shelf.up = True
    replica = replaying(ops)
    assert await rounds_until_empty(ops, replica) == [1, 2, 4]
    await replica.round()
    await replica.round()
    shelf.up = False
    await ops.workers.feed("in", count=3)
    for _ in range(3):
        await ops.workers.finished()
    await replica.round()
    await ops.workers.finished()
    assert len(ops.list("DLQ:storage:shelf")) == 3
