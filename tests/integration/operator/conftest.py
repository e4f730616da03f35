"""Fixtures of the tests of the operator's commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from core.db.database import Database
from core.settings import DatabaseSettings
from pipeline.redis_client.client import RedisConnection
from tests.integration.operator.backup_scene import BackupScene
from tests.integration.support.operator_scene import CONFIG, OperatorScene, environment_of


@pytest.fixture
def operator(
    tmp_path: Path,
    redis_url: str,
    migrated: Database,
    database_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[OperatorScene]:
    """Commands with a configuration of one chain."""
    (config := tmp_path / "config.yml").write_text(CONFIG.replace("FOLDER", str(tmp_path)))
    for name, value in environment_of(config, redis_url, database_environment).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("app.operator_cli.run.configure_logging", lambda *_: None)  # the suite's
    monkeypatch.setenv("ENV_FILE", str(tmp_path / "none"))
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        yield OperatorScene(config, redis, migrated, capsys)


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
