"""The code that kills code kills it at every point, and nowhere else."""

from __future__ import annotations

import asyncio

import pytest
from redis import Redis
from sqlalchemy import text

from core.errors import PatchcordError
from pipeline.redis_client.client import RedisConnection
from tests.integration.custody.crash_points import Abandoned, everywhere, is_await, run_to_await
from tests.integration.custody.custody_scene import rows
from tests.integration.custody.killed_scene import KilledScene, Killing

INSERT = """
INSERT INTO redis_identity (number, name, server, generation, counter, seen_at, seen_by)
SELECT {0}, name, server, generation, counter, seen_at, seen_by
FROM redis_identity WHERE number = 1
"""


async def test_every_await(killed: KilledScene) -> None:
    """Each prefix of the steps is seen once, and no handler runs."""
    steps: list[str] = []
    seen: list[str] = []

    async def work() -> None:
        try:
            for step in "abc":
                steps.append(step)
                await asyncio.sleep(0.001)
        finally:
            steps.append("finally")

    async def attempt(killing: Killing) -> bool:
        killed.begin()
        steps.clear()
        was_killed = await killed.killed(killing, work)
        if is_await(killing):
            seen.append("".join(steps))
        return was_killed

    assert await everywhere(attempt) == [0, 3]
    assert seen == ["a", "ab", "abc", "abcfinally"]


async def test_what_was_waited_for_has_happened(redis: RedisConnection, client: Redis) -> None:
    """Redis has carried out the command; the code does not know it."""

    async def work() -> None:
        await redis.command("SET", "first", "1")
        await redis.command("SET", "second", "1")

    with pytest.raises(Abandoned):
        await run_to_await(work(), 1)
    assert (client.get("first"), client.get("second")) == ("1", None)


async def test_every_message(killed: KilledScene) -> None:
    """Of a command, a transaction in a thread and a command, each prefix; no half transaction.

    Neither repetitions nor handlers of errors get through.
    """
    outcomes: list[str] = []
    client, database = killed.whole.client, killed.database

    def transaction() -> None:
        with database.transaction() as session:
            for number in (2, 3):
                session.execute(text(INSERT.format(number)))

    async def work() -> None:
        try:
            await killed.redis.command("SET", "first", "1")
            await killed.whole.calls(transaction)
            await killed.redis.command("SET", "second", "1")
        except (PatchcordError, asyncio.CancelledError):
            await killed.redis.command("SET", "handled", "1")

    async def attempt(killing: Killing) -> bool:
        killed.begin()
        was_killed = await killed.killed(killing, work)
        count = len(rows(killed.whole.database, "number", "redis_identity")) - 1
        outcomes.append(f"{client.exists('first')}{count}{client.exists('second')}")
        assert not client.exists("handled")
        return was_killed

    assert await everywhere(attempt) == [5, 3]
    assert outcomes[:6] == ["000", "100", "100", "100", "120", "121"]
    assert outcomes[6:] == ["100", "120", "121", "121"]
