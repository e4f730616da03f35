"""What a restored Redis has, compared with the one before."""

from __future__ import annotations

from pipeline.operator.backup.kinds import Treatment, kind_of
from tests.integration.operator.backup_scene import BackupScene
from tests.integration.redis_client.script_world import World


async def test_every_element_has_a_place_and_every_kept_key_its_value(backups: BackupScene) -> None:
    """In flight, delayed, waiting, lent out: all are in places that lead to their ends."""
    world = World(backups.client)
    before = world.look()
    await backups.around()
    after = world.look()
    assert before.places.keys() == after.places.keys()
    for key in before.keys:
        if kind_of(key).treatment is Treatment.KEEP and backups.client.type(key) != "list":
            assert key in after.keys, key
    assert not backups.client.keys("pc:restoring:*")
