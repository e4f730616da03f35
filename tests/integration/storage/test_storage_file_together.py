"""vCons that a worker saves to files at the same time."""

from __future__ import annotations

import asyncio
import gzip
import os
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lib.vcon_redis import AsyncVconRedis
from pipeline.config.parser import parse
from pipeline.plugins.loader import load
from pipeline.runs.calls import PluginCalls
from pipeline.runs.vcon_store import VconStore
from storage import file
from storage.file import threads
from tests.plugins.scene import SAMPLES, TAGGED, canonical, connected

VCON = canonical(TAGGED)
DAY = "2023/04/03"


@pytest.fixture(autouse=True)
async def store(redis_url: str) -> AsyncIterator[VconStore]:
    """A store behind the connection that plugins find."""
    async with connected(redis_url) as store:
        yield store


def uuid(number: int) -> str:
    """The uuid of the vCon of this number."""
    return f"00000000-0000-8000-8000-{number:012}"


async def put(store: VconStore, count: int) -> list[str]:
    """So many vCons of one day."""
    uuids = [uuid(number) for number in range(count)]
    for each in uuids:
        await store.put({**VCON, "uuid": each})
    return uuids


def tree(folder: Path) -> dict[str, bytes | str]:
    """The content of each file, and the target of each link."""
    found = [path for path in folder.rglob("*") if path.is_symlink() or path.is_file()]
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        for path in found
    }


@pytest.mark.parametrize("changes", [{}, {"compression": True, "fsync": True}])
async def test_they_are_the_same_files_as_one_by_one(
    store: VconStore, tmp_path: Path, changes: dict[str, Any]
) -> None:
    """Also when they are saved again, and with other options."""
    uuids = []
    for path in SAMPLES.glob("*.json"):
        await store.put(document := canonical(path.stem))
        uuids.append(document["uuid"])
    for more in ({}, {}, {"organize_by_date": False}):
        together = {"path": str(tmp_path / "together"), **changes, **more}
        single = {"path": str(tmp_path / "single"), **changes, **more}
        await asyncio.gather(*(file.save_together(each, together) for each in uuids))
        for each in uuids:
            await asyncio.to_thread(file.save, each, single)
        assert tree(tmp_path / "together") == tree(tmp_path / "single")


async def test_a_worker_writes_those_that_wait_in_one_thread(
    store: VconStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It calls `save_together`, though `save` is not async; no task or thread counts as left."""
    groups: list[int] = []
    written = file._written

    def noted(options: file.Options, drafts: Sequence[Any]) -> list[Exception | None]:
        assert threading.current_thread().name.startswith("plugin")
        groups.append(len(drafts))
        return written(options, drafts)

    monkeypatch.setattr(file, "_written", noted)
    spec = {"module": "storage.file", "options": {"path": str(tmp_path)}}
    config = parse({"storages": {"f": spec}, "chains": {"c": {"storages": ["f"]}}}, {})
    storage = load(config).storage(config.chains["c"], "f")
    calls = PluginCalls(2, store._connection)
    uuids = await put(store, 40)
    assert await asyncio.gather(*(calls.save(storage, each) for each in uuids)) == [None] * 40
    assert sum(groups) == 40
    assert len(groups) < 40
    assert len(tree(tmp_path)) == 80
    assert caplog.records == []
    calls.close()


async def test_one_that_cannot_be_written_fails_alone(store: VconStore, tmp_path: Path) -> None:
    """Its temporary file is removed; the others are there."""
    uuids = await put(store, 4)
    (tmp_path / DAY / f"{uuids[1]}.json").mkdir(parents=True)
    (tmp_path / DAY / f"{uuids[1]}.json" / "in the way").touch()
    opts = {"path": str(tmp_path)}
    results = await asyncio.gather(
        *(file.save_together(each, opts) for each in uuids), return_exceptions=True
    )
    assert [isinstance(each, OSError) for each in results] == [False, True, False, False]
    names = {path.name for path in (tmp_path / DAY).iterdir()}
    assert names == {f"{each}.json" for each in uuids}


async def test_the_later_one_of_the_same_vcon_stays(store: VconStore, tmp_path: Path) -> None:
    """Saved while the first is being written."""
    opts = {"path": str(tmp_path)}
    saves = []
    for number in range(5):
        await store.put({**VCON, "subject": str(number)})
        saves.append(asyncio.ensure_future(file.save_together(VCON["uuid"], opts)))
        await AsyncVconRedis().get_vcon_dict(VCON["uuid"])
    await asyncio.gather(*saves)
    found = await asyncio.to_thread(file.get, VCON["uuid"], opts)
    assert found is not None
    assert found["subject"] == "4"


async def test_files_are_not_compressed_on_the_event_loop(
    store: VconStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would stand still for 0.2 s with a recording of 5 MB."""
    places: list[threading.Thread] = []
    compress = gzip.compress

    def noting(*args: Any, **options: Any) -> bytes:
        places.append(threading.current_thread())
        return compress(*args, **options)

    monkeypatch.setattr(gzip, "compress", noting)
    [vcon_uuid] = await put(store, 1)
    await file.save_together(vcon_uuid, {"path": str(tmp_path), "compression": True})
    assert len(places) == 1
    assert places != [threading.current_thread()]


async def test_a_folder_is_flushed_once(
    store: VconStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And each file once, after all of them have been written."""
    flushed: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda each: flushed.append(os.fstat(each).st_nlink > 1))
    uuids = await put(store, 3)
    options = file.Options.of({"path": str(tmp_path), "fsync": True})
    drafts = [file._draft(each, {**VCON, "uuid": each}, options) for each in uuids]
    assert file._written(options, drafts) == [None] * 3
    assert len(flushed) == 4


@pytest.mark.parametrize(("seconds", "parts"), [(0.0, [8]), (0.02, [2] * 4), (10.0, [1] * 8)])
async def test_a_slow_disk_gets_several_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, parts: list[int]
) -> None:
    """By what a file took before; the results are in the order of the files."""
    monkeypatch.setitem(threads._seconds, tmp_path, seconds)
    sizes: list[int] = []

    def write(items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        return [-item for item in items]

    found = await threads.in_threads(tmp_path, write, range(8))
    assert found == [-item for item in range(8)]
    assert sizes == parts
