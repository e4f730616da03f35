"""The promise of a backup, with the pipeline moving between any two of its commands."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pipeline.operator.backup import redis_reader
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.queues import Queues
from tests.emptying import empty
from tests.integration.operator.backup_scene import BackupScene
from tests.integration.operator.moving_world import MovingWorld

MOVES_BEFORE = 300
MOVES = 0.15
"""Of each command of the backup; more of them would end all runs before it has read half."""


@pytest.fixture
async def mover(redis_url: str) -> AsyncIterator[RedisConnection]:
    """The connection of all other processes."""
    connection = RedisConnection(redis_url)
    yield connection
    await connection.close()


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_lost_whatever_moves(
    backups: BackupScene, mover: RedisConnection, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every vCon accepted before is where it leads to its end, or has ended; and all of them do."""
    queues = Queues(mover, run_expiry=3600, vcon_expiry=3600)
    world = MovingWorld(mover, queues, random.Random(seed))
    await world.move(MOVES_BEFORE)
    world.freeze()
    monkeypatch.setattr(redis_reader, "SCANNED", 10)  # as with very many keys: vCons move meanwhile
    finished_before, command, turn = world.finished, backups.redis.command, asyncio.Lock()

    async def moving(*words: Any) -> Any:
        async with turn:
            if world.chance.random() < MOVES:
                await world.move()
            return await command(*words)

    monkeypatch.setattr(backups.redis, "command", moving)
    await backups.back_up()
    monkeypatch.undo()
    assert world.finished > finished_before
    before = await world.places()
    empty(backups.client)
    await backups.restore()
    assert await world.missing(before) == {}
    await world.end_all()
