"""A backup has the media of vCons, and a restore puts them beside the documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.media.file_store import FileStore
from pipeline.runs.vcon_store import VconStore
from tests.emptying import empty
from tests.integration.media.media_scene import beside, in_redis, is_stripped, recorded
from tests.integration.operator.backup_scene import BackupScene


async def test_media_are_in_the_backup(
    backups: BackupScene, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The store of before may be lost. A vCon whose media are gone is kept as it is, and told."""
    whole, lost = recorded(), recorded()
    folders = tmp_path / "before", tmp_path / "after"
    for each in folders:
        each.mkdir()
    async with beside("file", backups.redis, {"file": FileStore(folders[0])}) as media:
        for vcon in (whole, lost):
            await VconStore(backups.redis).put(vcon)
        before = in_redis(backups.client, lost["uuid"])
        store = media.stores["file"]
        await store.remove(lost["uuid"], await store.names(lost["uuid"]))
        await backups.back_up()
    assert "vCon kept without media" in caplog.text
    empty(backups.client)
    async with beside("file", backups.redis, {"file": FileStore(folders[1])}):
        await backups.restore()
        assert is_stripped(backups.client, whole["uuid"])
        assert await VconStore(backups.redis).get(whole["uuid"]) == whole
        assert in_redis(backups.client, lost["uuid"]) == before
