"""Fixtures of the tests of recovery."""

import pytest
from redis import Redis

from core.db.database import Database
from pipeline.redis_client.client import RedisConnection
from tests.integration.recovery.recovery_scene import RecoveryScene


@pytest.fixture
def recovering(redis: RedisConnection, client: Redis, migrated: Database) -> RecoveryScene:
    """An empty Redis and an empty Postgres."""
    return RecoveryScene(redis, client, migrated)
