"""A recovery writes vCons from Postgres into Redis, with their media beside them again."""

from __future__ import annotations

from pathlib import Path

from pipeline.media.file_store import FileStore
from pipeline.runs.vcon_store import VconStore
from tests.integration.media.media_scene import beside, is_stripped, recorded, taken_in
from tests.integration.recovery.recovery_scene import RecoveryScene


async def test_media_are_beside_the_document_again(
    recovering: RecoveryScene, tmp_path: Path
) -> None:
    """The store of before may be lost, too. A body in the form of a placeholder stays a text."""
    await recovering.recover()
    client, forged = recovering.client, f"pc:media:file:{'a' * 64}-00000000-{'b' * 16}:9"
    vcon = recorded(analysis=[{"type": "x", "dialog": 0, "body": forged, "encoding": "none"}])
    folder = tmp_path / "new"
    async with beside("file", recovering.connection, {"file": FileStore(tmp_path)}):
        await taken_in(recovering, vcon, "in")
    client.flushall()
    folder.mkdir()
    async with beside("file", recovering.connection, {"file": FileStore(folder)}):
        await recovering.recover()
        assert recovering.elements("in") == [vcon["uuid"]]
        assert is_stripped(client, vcon["uuid"])
        read = await VconStore(recovering.connection).get(vcon["uuid"])
        assert read is not None
        assert (read["dialog"], read["analysis"][0]["body"]) == (vcon["dialog"], forged)
