"""Pauses, drains and the register of replicas, however many entries other programs have added."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from core.errors import FullError
from core.operator_interfaces import Call
from pipeline.operator.entries import MOST_ENTRIES
from pipeline.operator.pause_keeper import PauseKeeper
from pipeline.operator.pauses import PauseOperations
from pipeline.operator.replicas import ReplicaReader
from pipeline.redis_client import keys
from schemas.ingress_key import Author
from schemas.operator.pauses import PauseRequest, PausesQuery
from schemas.operator.replicas import MOST_REPLICAS, ReplicasQuery
from tests.integration.operator.replica_scene import register_of
from tests.integration.redis_client.slowlog_scene import Slowlog, slowlog, uuid_at
from tests.integration.support.pipeline_fixtures import configured

MANY = 100_000


@pytest.fixture
async def log(redis_url: str) -> AsyncIterator[Slowlog]:
    """A chain from `in` to `out`."""
    async with slowlog(redis_url) as opened:
        opened.ops.configure(configured())
        yield opened


async def test_registers_that_another_program_has_filled(log: Slowlog) -> None:
    """A sign of life, both listings, a pause and the keeper look at a bounded part."""
    redis, configuration = log.ops.redis, log.ops.configuration
    operations = PauseOperations(redis, configuration)
    register = register_of(redis, configuration)
    call = Call(Author(actor="me"), "why")

    def filled() -> None:
        log.fill("SADD", keys.PROCESSES, count=MANY)
        log.fill("HSET", keys.PAUSED, value="{}", count=MANY)
        log.fill("HSET", keys.DRAINED, value="{}", count=MANY)

    async def look() -> None:
        await register.sign()
        found = await ReplicaReader(redis, configuration).replicas(ReplicasQuery())
        assert len(found.replicas) <= MOST_REPLICAS
        assert len((await operations.pauses(PausesQuery(), call)).paused) == MOST_ENTRIES
        with pytest.raises(FullError):
            await operations.pause(PauseRequest(chain="main"), call)
        await PauseKeeper(redis, configuration).round()
        await register.leave()

    await log.check(look, filled)


async def test_claims_while_as_many_chains_are_paused_as_can_be(log: Slowlog) -> None:
    """Each claim reads the pause of each chain that has elements."""
    names = [uuid_at(number) for number in range(1, MOST_ENTRIES + 1)]
    entry = json.dumps({"until": None, "by": "me", "reason": "x" * 300, "at": 1, "seen": 1})

    def paused() -> None:
        log.fill("HSET", keys.PAUSED, value=entry, count=MOST_ENTRIES)
        log.ops.client.set(keys.worker("one"), 1)
        for name in names:
            log.ops.client.rpush(name, "vcon")

    async def claim() -> None:
        chains = dict(zip(names, names, strict=True))
        found = await log.ops.workers.queues.claim("one", 16, names, chains=chains)
        assert (found.claims, len(found.paused)) == ([], MOST_ENTRIES)
        assert await log.ops.workers.queues.suspects(names, chains) == 0

    await log.check(claim, paused)
