"""What a restored Redis has, compared with the one before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from core.settings import DatabaseSettings
from pipeline.operator.backup.kinds import Treatment, kind_of
from pipeline.redis_client.client import RedisConnection
from tests.integration.operator.backup_scene import BackupScene
from tests.integration.redis_client.script_world import World


@pytest.fixture
def scene(
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


async def test_every_element_has_a_place_and_every_kept_key_its_value(scene: BackupScene) -> None:
    """In flight, delayed, waiting, lent out: all are in places that lead to their ends."""
    world = World(scene.client)
    before = world.look()
    await scene.around()
    after = world.look()
    assert before.places.keys() == after.places.keys()
    for key in before.keys:
        if kind_of(key).treatment is Treatment.KEEP and scene.client.type(key) != "list":
            assert key in after.keys, key
    assert not scene.client.keys("pc:restoring:*")
