"""Fixtures of the tests of the operator's commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from core.settings import DatabaseSettings
from pipeline.redis_client.client import RedisConnection
from tests.integration.operator.backup_scene import BackupScene
from tests.integration.support.operator_scene import operator

__all__ = ["operator"]


@pytest.fixture
def backups(
    client: Redis,
    redis: RedisConnection,
    database_settings: DatabaseSettings,
    postgres_server: Any,
    empty_database: str,
    tmp_path: Path,
) -> BackupScene:
    """Nothing is in Redis yet."""
    values = postgres_server.environment(empty_database).items()
    target = DatabaseSettings(environment="test", **{name.lower(): each for name, each in values})
    return BackupScene(client, redis, database_settings, target, tmp_path / "backup")
