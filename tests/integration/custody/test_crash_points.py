"""The code that kills code kills it at every point, and nowhere else."""

from __future__ import annotations

import asyncio

import pytest
from redis import Redis

from pipeline.redis_client.client import RedisConnection
from tests.integration.custody.crash_points import (
    Abandoned,
    Cut,
    awaits,
    every_message,
    run_to_await,
    until_cut,
)


async def test_every_await() -> None:
    """Each prefix of the steps is seen once, and no handler runs."""
    steps: list[str] = []

    async def work() -> None:
        try:
            for step in "abc":
                steps.append(step)
                await asyncio.sleep(0.001)
        finally:
            steps.append("finally")

    seen = []
    async for at in awaits(work):
        seen.append((at, "".join(steps)))
        steps.clear()
    assert seen == [(1, "a"), (2, "ab"), (3, "abc")]
    assert steps == ["a", "b", "c", "finally"]


async def test_what_was_waited_for_has_happened(redis: RedisConnection, client: Redis) -> None:
    """Redis has carried out the command; the code does not know it."""

    async def work() -> None:
        await redis.command("SET", "first", "1")
        await redis.command("SET", "second", "1")

    with pytest.raises(Abandoned):
        await run_to_await(work(), 1)
    assert (client.get("first"), client.get("second")) == ("1", None)


async def test_every_message(redis_url: str, client: Redis, valkey_server: object) -> None:
    """Of two commands, every number is carried out at some point, and both are at the end."""
    outcomes = []

    async def attempt(cut: Cut) -> None:
        client.delete("first", "second")
        port = await cut.port_for(valkey_server.port)  # type: ignore[attr-defined]
        redis = RedisConnection(redis_url.replace(str(valkey_server.port), str(port)))  # type: ignore[attr-defined]

        async def work() -> None:
            await redis.command("SET", "first", "1")
            await redis.command("SET", "second", "1")

        try:
            await until_cut(cut, work())
            outcomes.append("done")
        except Abandoned:
            outcomes.append(f"{client.exists('first')}{client.exists('second')}")
        await redis.close()

    assert await every_message(attempt) == len(outcomes) - 1
    assert set(outcomes) == {"00", "10", "11", "done"}
    assert outcomes == sorted(outcomes)
