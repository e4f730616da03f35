"""Housekeeping: the periodic chores of every replica, also when one fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from core.errors import UnavailableError
from pipeline.admin.housekeeping import Rescuer, remove_leftover_locks, rescue_unclaimed
from pipeline.redis_client import keys
from pipeline.redis_client.client import CommandRefused
from pipeline.redis_client.periodic import every
from tests.integration.support.operations_scene import Operations, operations
from tests.integration.support.pipeline_fixtures import configured, storage

CHAIN = configured(storages=[storage()])


@pytest.fixture
async def ops(redis_url: str) -> AsyncIterator[Operations]:
    """A chain from `in` to `out`."""
    async with operations(redis_url) as opened:
        opened.configure(CHAIN)
        yield opened


async def test_what_a_dead_worker_held_goes_back(
    ops: Operations, caplog: pytest.LogCaptureFixture
) -> None:
    """Workers without a lease lose what they hold, those with one keep it."""
    dead, alive = [await ops.ingest("in") for _ in range(2)]
    for worker in ("dead", "alive"):
        ops.client.sadd(keys.WORKERS, worker)
        ops.client.set(keys.worker(worker), 1)
        await ops.workers.queues.claim(worker, 1, ["in"])
    ops.client.delete(keys.worker("dead"))
    await rescue_unclaimed(ops.workers.queues)
    assert (ops.list("in"), ops.client.smembers(keys.WORKERS)) == ([dead], {"alive"})
    assert ops.client.hkeys(keys.inflight("alive")) == [alive]
    assert [record.getMessage() for record in caplog.records] == ["unclaimed runs given back"]


async def test_right_after_an_outage_nobody_is_taken_for_dead(ops: Operations) -> None:
    """A worker could not say that it is alive; a lease later it has, or is dead."""
    vcon_uuid = await ops.ingest("in")
    ops.client.sadd(keys.WORKERS, "one")
    ops.client.set(keys.worker("one"), 1)
    await ops.workers.queues.claim("one", 1, ["in"])
    ops.client.delete(keys.worker("one"))
    rescuer = Rescuer(ops.workers.redis, ops.workers.queues, rounds=3)
    ops.workers.redis._translated(ConnectionError())
    for _ in range(3):
        await rescuer.round()
        assert ops.list("in") == []
    await rescuer.round()
    assert ops.list("in") == [vcon_uuid]


async def test_without_memory_the_dead_are_looked_for_all_the_same(ops: Operations) -> None:
    """Leases are renewed then, and finishing work is how memory becomes free."""
    vcon_uuid = await ops.ingest("in")
    ops.client.sadd(keys.WORKERS, "one")
    ops.client.set(keys.worker("one"), 1)
    await ops.workers.queues.claim("one", 1, ["in"])
    ops.client.delete(keys.worker("one"))
    ops.client.config_set("maxmemory", 1)
    try:
        assert not await ops.workers.redis.reachable()
        await Rescuer(ops.workers.redis, ops.workers.queues, rounds=3).round()
    finally:
        ops.client.config_set("maxmemory", 0)
    assert ops.list("in") == [vcon_uuid]


@pytest.mark.parametrize("failure", [UnavailableError(), CommandRefused("OOM")])
async def test_a_chore_that_fails_is_done_again(failure: Exception) -> None:
    """Neither a Redis that is away nor one that refuses ends the housekeeping."""
    done = asyncio.Event()
    failures = [failure]

    async def chore() -> None:
        if failures:
            raise failures.pop()
        done.set()

    task = asyncio.create_task(every(0.001, chore))
    async with asyncio.timeout(60):
        await done.wait()
    task.cancel()


async def test_what_a_stalled_worker_died_of_is_told_with_the_run(ops: Operations) -> None:
    """The next attempt's reason says it, whichever replica gives the vCon back."""
    await ops.ingest("in")
    ops.client.sadd(keys.WORKERS, "one")
    ops.client.set(keys.worker("one"), 1)
    queues = ops.workers.queues
    [claim] = (await queues.claim("one", 1, ["in"])).claims
    assert await queues.last_death(claim.run_id) == ""
    await queues.note_stall("one", 4.5)
    ops.client.delete(keys.worker("one"))
    await rescue_unclaimed(queues)
    told = await queues.last_death(claim.run_id)
    assert told == "; the last time it made no progress for 4 s or more"


async def test_a_lock_that_is_left_over_is_removed(
    ops: Operations, caplog: pytest.LogCaptureFixture
) -> None:
    """Another program took the in-flight hash away: the vCon waits for no run that there is."""
    left, held, foreign = [await ops.ingest("in") for _ in range(3)]
    for worker in ("gone", "alive", "odd"):
        ops.client.set(keys.worker(worker), 1)
        await ops.workers.queues.claim(worker, 1, ["in"])
    ops.client.delete(keys.inflight("gone"))
    ops.client.delete(keys.inflight("odd"))
    ops.client.set(keys.inflight("odd"), "another program's")
    ops.client.hset(keys.LOCKS, left, f"gone\n7\n{left}")
    ops.client.rpush("in", left, held)
    assert (await ops.workers.queues.claim("alive", 2, ["in"])).claims == []
    await remove_leftover_locks(ops.workers.queues)
    assert set(ops.client.hkeys(keys.LOCKS)) == {held, foreign}
    [claim] = (await ops.workers.queues.claim("alive", 2, ["in"])).claims
    assert claim.vcon_uuid == left
    assert [record.getMessage() for record in caplog.records] == ["leftover lock removed"]


async def test_any_number_of_locks_is_looked_through(ops: Operations) -> None:
    """In slices, of which each removes a few."""
    many = {f"vcon-{number}": "gone" for number in range(1000)}
    ops.client.hset(keys.LOCKS, mapping=many)
    kept = await ops.ingest("in")
    ops.client.set(keys.worker("alive"), 1)
    await ops.workers.queues.claim("alive", 1, ["in"])
    slices = [len(each) async for each in ops.workers.queues.unlock()]
    assert (sum(slices), max(slices)) == (1000, 10)
    assert ops.client.hkeys(keys.LOCKS) == [kept]
