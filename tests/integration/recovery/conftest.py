"""Fixtures of the tests of recovery."""

from collections.abc import Iterator

import pytest
from redis import Redis

from core.db.database import Database
from pipeline.redis_client.client import RedisConnection
from tests.integration.recovery.recovery_scene import RecoveryScene
from tests.integration.support.pipeline_fixtures import postgres_calls


@pytest.fixture
def recovering(
    redis: RedisConnection, client: Redis, migrated: Database
) -> Iterator[RecoveryScene]:
    """An empty Redis and an empty Postgres."""
    calls = postgres_calls()
    yield RecoveryScene(redis, client, migrated, calls)
    calls.close()
