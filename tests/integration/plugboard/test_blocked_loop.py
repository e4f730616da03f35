"""A blocked event loop is not taken for an outage of Redis."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from pipeline.redis_client import client

if TYPE_CHECKING:
    from pipeline.redis_client.client import RedisConnection


async def test_a_reply_that_came_while_the_loop_was_blocked_counts(
    redis: RedisConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocked for longer than Redis is given to reply, with the reply in the socket's buffer."""
    monkeypatch.setattr(client, "REPLY_SECONDS", 0.2)
    await redis.command("SET", "a", "1")
    asking = asyncio.create_task(redis.command("GET", "a"))
    for _ in range(5):
        await asyncio.sleep(0)  # until the command is on its way
    assert redis._flushes
    time.sleep(0.5)  # noqa: ASYNC251 -- what a careless action does
    assert await asking == "1"
