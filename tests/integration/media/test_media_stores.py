"""What each store does with a body."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.media import s3_store as s3_store_module
from pipeline.media.bodies import fresh_name
from pipeline.media.file_store import FileStore
from pipeline.media.s3_store import Bucket, S3Store
from pipeline.media.stores import MediaAwayError
from tests.integration.media.media_scene import s3_store
from tests.integration.support.pipeline_fixtures import new_uuid

__all__ = ["s3_store"]


async def test_an_object_that_is_missing_is_no_outage(s3_store: Callable[[], S3Store]) -> None:
    """A bucket that is missing is one: no vCon is given up for it. Another content is no body."""
    store, vcon, name = await asyncio.to_thread(s3_store), new_uuid(), fresh_name(b'"x"')
    assert await store.get(vcon, name) is None
    await store.put(vcon, name, b'"x"')
    assert (await store.get(vcon, name), await store.names(vcon)) == (b'"x"', [name])
    await store.put(vcon, name, b'"y"')
    assert await store.get(vcon, name) is None
    await store.remove(vcon, [name, name])
    store._bucket, bucket = Bucket("nowhere", ""), store._bucket
    for call in (store.get(vcon, name), store.put(vcon, name, b"1"), store.names(vcon)):
        with pytest.raises(MediaAwayError, match="media store s3, bucket nowhere: "):
            await call
    store._bucket = bucket


async def test_files_are_private_and_whole(tmp_path: Path) -> None:
    """Only the service's user reads them; what a killed writer has left is swept."""
    store, vcon, name = FileStore(tmp_path), new_uuid(), fresh_name(b'"x"')
    await store.put(vcon, name, b'"x"')
    [file] = await asyncio.to_thread(lambda: [x for x in tmp_path.rglob("*") if x.is_file()])
    assert [each.stat().st_mode & 0o777 for each in (file, file.parent)] == [0o600, 0o700]
    file.with_suffix(".part").write_bytes(b'"')
    assert sorted(await store.names(vcon)) == [name, f"{name}.part"]
    await store.remove(vcon, await store.names(vcon))
    assert not file.parent.exists()
    await store.put(vcon, name, b'"x"')
    assert await store.get(vcon, name) == b'"x"'
    with pytest.raises(MediaAwayError, match="MEDIA_FOLDER"):
        await FileStore(tmp_path / "not mounted").put(vcon, name, b"1")
    assert await store.get(new_uuid(), name) is None
    with pytest.raises(MediaAwayError, match="MEDIA_FOLDER"):  # nothing is known of its files
        await FileStore(tmp_path / "not mounted").names(vcon)


async def test_a_new_file_is_flushed_with_its_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a power cut takes the folder with it; folders that are there are not flushed again."""
    store, vcon, flushed = FileStore(tmp_path), new_uuid(), list[str]()

    def note(descriptor: int) -> None:
        flushed.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))

    monkeypatch.setattr(os, "fsync", note)
    names = [fresh_name(b'"x"') for _ in range(2)]
    for name in names:
        await store.put(vcon, name, b'"x"')
    folder = str(store._folder_of(vcon))
    files = [f"{folder}/{name}.part" for name in names]
    above = [str(tmp_path), str(store._folder_of(vcon).parent)]
    assert flushed == [*above, files[0], folder, files[1], folder]


async def test_more_objects_than_a_page(
    s3_store: Callable[[], S3Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are named, or the sweep would take those of the first page for all."""
    monkeypatch.setattr(s3_store_module, "PAGE", 2)
    store, vcon = await asyncio.to_thread(s3_store), new_uuid()
    names = sorted(fresh_name(b'"x"') for _ in range(3))
    for name in names:
        await store.put(vcon, name, b'"x"')
    assert sorted(await store.names(vcon)) == names
