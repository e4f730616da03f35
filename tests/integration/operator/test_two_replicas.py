"""Pauses and drains seen by real processes: two replicas with workers, one of which is killed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from core.version import VERSION
from schemas.operator.pauses import (
    DrainRequest,
    PauseRequest,
    PausesQuery,
    ResumeRequest,
    UndrainRequest,
)
from tests.integration.operator.two_replicas import SLOTS, TwoReplicas, two_replicas
from tests.integration.support.processes import wait_until_ended

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pipeline.redis_client.client import RedisConnection

MAIN = PauseRequest(chain="main")


@pytest.fixture
async def replicas(
    tmp_path: Path, redis: RedisConnection, redis_url: str, database_environment: dict[str, str]
) -> AsyncIterator[TwoReplicas]:
    """Both of them."""
    async with two_replicas(tmp_path, redis, redis_url, database_environment) as both:
        yield both


async def test_a_paused_chain_takes_in_and_runs_nothing(replicas: TwoReplicas) -> None:
    """On both replicas, also when a worker and a replica are killed; all of it runs afterwards.

    What the killed worker held goes back to its list, and no process is started for it before.
    """
    replicas.close_gate()
    [held] = await replicas.post(replicas.both[0])
    first, worker = await replicas.holder(held)
    [second] = [each for each in replicas.both if each is not first]
    await replicas.operator.pause(MAIN, replicas.call)
    worker.kill()
    while await replicas.list() != [held]:  # noqa: ASYNC110 -- Redis sends no event for it
        await asyncio.sleep(0.01)
    replicas.open_gate()
    taken = [
        each for service in replicas.both for each in await replicas.post(service, count=SLOTS)
    ]
    for service in replicas.both:  # both go on with another chain
        await replicas.through(await replicas.post(service, "other", count=2 * SLOTS))
    assert set(await replicas.list()) == {held, *taken}
    await asyncio.to_thread(second.kill)
    await asyncio.to_thread(wait_until_ended, second.pid)
    await replicas.through(await replicas.post(first, "other", count=2 * SLOTS))
    assert set(await replicas.list()) == {held, *taken}
    [pause] = (await replicas.operator.pauses(PausesQuery(), replicas.call)).paused
    assert pause.chain == "main"
    await replicas.operator.resume(ResumeRequest(chain="main"), replicas.call)
    await replicas.through([held, *taken])
    assert {pid for uuid in taken for pid in replicas.ran_by(uuid)} == {first.pid}


async def test_a_drained_replica_finishes_answers_and_claims_nothing(
    replicas: TwoReplicas,
) -> None:
    """It is named by its id; what it takes in, the other runs; undrained, it runs again."""
    replicas.close_gate()
    [held] = await replicas.post(replicas.both[0])
    drained, _ = await replicas.holder(held)
    [other] = [each for each in replicas.both if each is not drained]
    name = (await replicas.replica(drained)).id
    result = await replicas.operator.drain(DrainRequest(replica=name), replicas.call)
    assert result.replica is not None
    assert (result.holds_nothing, [each.vcon for each in result.replica.held]) == (False, [held])
    replicas.open_gate()
    waiting = DrainRequest(replica=name, wait=60)
    assert (await replicas.operator.drain(waiting, replicas.call)).holds_nothing
    await replicas.through([held])
    taken = await replicas.post(drained, count=3 * SLOTS)
    await replicas.through(taken)
    assert {pid for uuid in taken for pid in replicas.ran_by(uuid)} == {other.pid}
    told = await replicas.replica(drained)
    assert (told.drained is not None, told.kind, told.slots) == (True, "api", SLOTS)
    assert (told.version, len(told.workers), told.postgres) == (VERSION, 1, None)
    assert all((await asyncio.to_thread(drained.checks) or {"none": False}).values())
    await asyncio.to_thread(other.kill)
    more = await replicas.post(drained)
    assert (await replicas.list(), await replicas.queues.llen("out")) == (more, 0)
    await replicas.operator.undrain(UndrainRequest(replica=name), replicas.call)
    await replicas.through(more)
