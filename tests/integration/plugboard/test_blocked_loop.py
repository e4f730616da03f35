"""A blocked event loop is not taken for an outage of Redis."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from pipeline.redis_client.driver import batches

if TYPE_CHECKING:
    from redis import Redis

    from pipeline.redis_client.client import RedisConnection


async def test_a_reply_that_came_while_the_loop_was_blocked_counts(
    redis: RedisConnection, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocked for longer than Redis is given to reply, with the reply in the socket's buffer."""
    await redis.command("SET", "a", "1")
    client.config_resetstat()
    monkeypatch.setattr(batches, "REPLY_SECONDS", 0.2)
    asking = asyncio.create_task(redis.command("GET", "a"))
    for _ in range(5):
        await asyncio.sleep(0)  # until the command is on its way
    assert redis._flushes
    while "cmdstat_get" not in client.info("commandstats"):
        pass  # until Redis has replied, however long that takes
    time.sleep(0.3)  # noqa: ASYNC251 -- what a careless action does
    assert await asking == "1"
