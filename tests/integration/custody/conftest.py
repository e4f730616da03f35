"""Fixtures of the tests of custody."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest
from redis import Redis

from core.concurrency.thread_pool import BoundedCalls
from core.db.database import Database
from pipeline.redis_client.client import RedisConnection
from tests.integration.custody.custody_scene import CustodyScene
from tests.integration.custody.killed_scene import killed

__all__ = ["calls", "kept", "killed"]


@pytest.fixture
def calls() -> Iterator[BoundedCalls]:
    """Threads for calls to Postgres."""
    with contextlib.closing(BoundedCalls("custody", threads=2, waiting=8, seconds=20.0)) as calls:
        yield calls


@pytest.fixture
async def kept(
    redis: RedisConnection, client: Redis, migrated: Database, calls: BoundedCalls
) -> AsyncIterator[CustodyScene]:
    """An empty Redis that is approved, and an empty database."""
    opened = CustodyScene(redis, client, migrated, calls)
    yield opened
    await opened.close()
