"""A withheld vCon in a backup."""

from __future__ import annotations

import pytest

from pipeline.redis_client import keys
from tests.integration.law.release_scene import law_scene
from tests.integration.operator.backup_scene import BackupScene

pytestmark = pytest.mark.usefixtures("backups")


async def test_it_is_withheld_after_a_restore(backups: BackupScene, redis_url: str) -> None:
    """With its reason; it goes on at its step once the law allows it."""
    async with law_scene(redis_url) as law:
        law.configure("second")
        vcon_uuid = await law.run()
        reasons = backups.client.hgetall(keys.reasons(keys.withheld("in")))
        await backups.around()
        assert backups.client.hgetall(keys.reasons(keys.withheld("in"))) == reasons
        law.called()
        law.recorded.add("second", granted=True)
        assert (await law.release(vcon_uuid)).withheld == []
        await law.ops.work()
        assert law.called()[0] == "second"
        assert law.ops.list("out") == [vcon_uuid]
