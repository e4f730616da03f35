"""The file storage on a real disk."""

from __future__ import annotations

import gzip
import json
import os
import stat
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lib.vcon_redis import VconRedis
from pipeline.runs.vcon_store import VconStore
from storage import file
from storage.file import places
from tests.plugins.scene import SAMPLES, TAGGED, canonical, connected

VCON = canonical(TAGGED)
UUID = VCON["uuid"]
DAY = "2023/04/03"
MISSING = "00000000-0000-8000-8000-000000000000"


@pytest.fixture(autouse=True)
async def store(redis_url: str) -> AsyncIterator[VconStore]:
    """A store with one vCon behind the connection that plugins find."""
    async with connected(redis_url) as store:
        await store.put(VCON)
        yield store


@pytest.fixture(autouse=True)
def _tight_umask() -> Iterator[None]:
    """Modes must come from the options, not from what the process happens to have."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def options(folder: Path, **changes: Any) -> dict[str, Any]:
    """Options of a storage under a folder that is not there yet."""
    return {"path": str(folder / "made" / "vcons"), **changes}


def files(folder: Path) -> list[str]:
    """All files below a folder, hidden ones too, but for the notes of where they lie."""
    paths = (path for path in folder.rglob("*") if not path.is_dir())
    return sorted(str(path.relative_to(folder)) for path in paths if ".lookup" not in path.parts)


def notes(folder: Path) -> list[str]:
    """The places that are noted."""
    return [str(path.readlink()) for path in folder.rglob("*") if path.is_symlink()]


def mode(path: Path) -> int:
    """The permissions of a file or folder."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("name", sorted(path.stem for path in SAMPLES.glob("*.json")))
@pytest.mark.parametrize("compression", [False, True])
async def test_every_sample_comes_back_equal(
    store: VconStore, tmp_path: Path, name: str, compression: bool
) -> None:
    """To what normalisation made of it."""
    document = canonical(name)
    await store.put(document)
    opts = options(tmp_path, compression=compression)
    file.save(document["uuid"], opts)
    assert file.get(document["uuid"], opts) == document


def test_a_vcon_lies_in_the_folder_of_its_day(tmp_path: Path) -> None:
    """The day on which it was made, in UTC, and nothing else is left there."""
    file.save(UUID, options(tmp_path))
    assert files(tmp_path) == [f"made/vcons/{DAY}/{UUID}.json"]
    assert json.loads((tmp_path / "made/vcons" / DAY / f"{UUID}.json").read_bytes()) == VCON


def test_without_days_a_vcon_lies_in_the_folder_itself(tmp_path: Path) -> None:
    """And is found there with either setting."""
    file.save(UUID, options(tmp_path, organize_by_date=False))
    assert files(tmp_path) == [f"made/vcons/{UUID}.json"]
    assert file.get(UUID, options(tmp_path)) == VCON


async def test_a_vcon_without_a_readable_date_lies_in_the_folder_itself(
    store: VconStore, tmp_path: Path
) -> None:
    """A link may have spoilt it; that is no reason not to keep it."""
    await store.put({**VCON, "created_at": "spoilt"})
    file.save(UUID, options(tmp_path))
    assert files(tmp_path) == [f"made/vcons/{UUID}.json"]


def test_saving_again_replaces_the_file(tmp_path: Path) -> None:
    """There is one file for a vCon, with what is in Redis now; also after a new `compression`."""
    file.save(UUID, options(tmp_path))
    changed = {**VCON, "subject": "changed"}
    VconRedis().store_vcon_dict(changed)
    file.save(UUID, options(tmp_path))
    assert file.get(UUID, options(tmp_path)) == changed
    assert len(files(tmp_path)) == 1
    VconRedis().store_vcon_dict(VCON)
    file.save(UUID, options(tmp_path, compression=True))
    assert files(tmp_path) == [f"made/vcons/{DAY}/{UUID}.json.gz"]
    assert file.get(UUID, options(tmp_path)) == VCON


MOVES: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("2026-03-01T10:00:00Z", {}, "2026/03/01/{}.json"),
    ("0001-01-01T00:00:00Z", {}, "0001/01/01/{}.json"),
    ("0001-01-01T00:00:00+14:00", {"compression": True}, "0001/01/01/{}.json.gz"),
    ("9999-12-31T23:59:59-14:00", {}, "9999/12/31/{}.json"),
    ("2026-03-02T10:00:00Z", {"organize_by_date": False}, "{}.json"),
)
"""Dates and options with which one vCon is saved in turn, and where it then lies."""


def move(folder: Path) -> None:
    """Save the vCon with each date and set of options; it lies in one place each time."""
    for date, changes, place in MOVES:
        moved = {**VCON, "created_at": date}
        VconRedis().store_vcon_dict(moved)
        opts = options(folder, **changes)
        file.save(UUID, opts)
        assert files(folder) == [f"made/vcons/{place.format(UUID)}"]
        assert file.get(UUID, opts) == moved


def check_removed(folder: Path) -> None:
    """Nothing of the vCon is left after a delete."""
    assert file.delete(UUID, options(folder))
    assert files(folder) == []
    assert notes(folder) == []


def test_a_vcon_that_moves_to_another_place_leaves_nothing(tmp_path: Path) -> None:
    """Neither at the old place after a save, nor anywhere after a delete."""
    move(tmp_path)
    assert notes(tmp_path) == [f"{UUID}.json"]
    check_removed(tmp_path)


def test_a_disk_without_symbolic_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders of all days are looked through instead."""

    def refuse(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refuse)
    move(tmp_path)
    check_removed(tmp_path)


@pytest.mark.parametrize("place", ["2020/01/01", "1/01/01", ""])
def test_files_from_before_places_were_noted(tmp_path: Path, place: str) -> None:
    """They are found, replaced and removed, also those that had a year without leading zeros."""
    old = tmp_path / "made" / "vcons" / place / f"{UUID}.json"
    for removed in (False, True):
        old.parent.mkdir(parents=True, exist_ok=True)
        old.write_text(json.dumps(VCON))
        assert file.get(UUID, options(tmp_path)) == VCON
        if not removed:
            move(tmp_path)
        check_removed(tmp_path)


def test_folders_from_before_are_listed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many new vCons are saved beside them: a listing takes longer with every day."""
    (tmp_path / "made" / "vcons" / "2020" / "01" / "01").mkdir(parents=True)
    listed: list[str] = []
    glob = Path.glob

    def counted(self: Path, pattern: str) -> Iterator[Path]:
        listed.append(pattern)
        return glob(self, pattern)

    monkeypatch.setattr(Path, "glob", counted)
    counts = []
    for number in range(3):
        document = {**VCON, "uuid": f"00000000-0000-8000-8000-{number:012}"}
        VconRedis().store_vcon_dict(document)
        file.save(document["uuid"], options(tmp_path))
        counts.append(len(listed))
    assert counts[0] == counts[-1] == len(places.DAYS)


def test_a_note_that_leads_out_of_the_path_is_not_followed(tmp_path: Path) -> None:
    """A save removes nothing but files of the vCon inside the path."""
    outside = tmp_path / "made" / f"{UUID}.json"
    file.save(UUID, options(tmp_path))
    outside.write_text("not ours")
    [note] = [path for path in tmp_path.rglob("*") if path.is_symlink()]
    note.unlink()
    note.symlink_to(f"../{UUID}.json")
    file.save(UUID, options(tmp_path))
    assert outside.read_text() == "not ours"


def test_a_compressed_file_is_gzip_and_the_same_each_time(tmp_path: Path) -> None:
    """Any tool can read it, and a copy of the folder need not copy it again."""
    file.save(UUID, options(tmp_path, compression=True))
    content = (tmp_path / "made/vcons" / DAY / f"{UUID}.json.gz").read_bytes()
    assert json.loads(gzip.decompress(content)) == VCON
    assert content[4:8] == bytes(4)  # where gzip puts the time, unless told otherwise


def test_files_and_new_folders_have_the_configured_permissions(tmp_path: Path) -> None:
    """Independent of the umask, for each created folder."""
    file.save(UUID, options(tmp_path, file_permissions="0o644", dir_permissions=0o755))
    made = [tmp_path / "made", *(tmp_path / "made").rglob("*")]
    assert {mode(path) for path in made if path.is_dir()} == {0o755}
    assert len([path for path in made if path.is_dir()]) == 7
    assert mode(tmp_path / "made/vcons" / DAY / f"{UUID}.json") == 0o644


def test_the_permissions_by_default(tmp_path: Path) -> None:
    """Users outside of the group neither read vCons nor list them, nor read where they lie."""
    file.save(UUID, options(tmp_path))
    assert mode(tmp_path / "made/vcons" / DAY / f"{UUID}.json") == 0o640
    folders = [path for path in (tmp_path / "made").rglob("*") if path.is_dir()]
    assert {mode(path) for path in (tmp_path / "made", *folders)} == {0o750}
    assert tmp_path / "made/vcons/.lookup" in folders


def test_the_permissions_of_folders_that_were_there_stay(tmp_path: Path) -> None:
    """Those above the path, the path itself, and that of a day."""
    there = [tmp_path, tmp_path / "made", tmp_path / "made/vcons", tmp_path / "made/vcons/2023"]
    for folder in there[1:]:
        folder.mkdir()
    for folder in there:
        folder.chmod(0o1777)
    file.save(UUID, options(tmp_path))
    assert [mode(folder) for folder in there] == [0o1777] * 4
    assert mode(tmp_path / "made/vcons/2023/04") == 0o750


def test_a_vcon_that_is_too_large_is_refused(tmp_path: Path) -> None:
    """The figure is that of the JSON; nothing is written."""
    size = len(json.dumps(VCON, separators=(",", ":"), ensure_ascii=False).encode())
    with pytest.raises(ValueError, match=f"has {size} bytes, max_file_size allows {size - 1}"):
        file.save(UUID, options(tmp_path, max_file_size=size - 1, compression=True))
    assert files(tmp_path) == []
    file.save(UUID, options(tmp_path, max_file_size=size))
    assert len(files(tmp_path)) == 1


def test_a_save_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither half a file nor a temporary one."""
    file.save(UUID, options(tmp_path))
    VconRedis().store_vcon_dict({**VCON, "subject": "changed"})

    def disk_full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(OSError, match="No space left"):
        file.save(UUID, options(tmp_path, fsync=True))
    assert files(tmp_path) == [f"made/vcons/{DAY}/{UUID}.json"]
    assert file.get(UUID, options(tmp_path)) == VCON


def test_delete_removes_every_copy_and_says_whether_there_was_one(tmp_path: Path) -> None:
    """Also one that lies where other settings had put it."""
    assert file.delete(UUID, options(tmp_path)) is False
    file.save(UUID, options(tmp_path))
    (tmp_path / "made" / "vcons" / f"{UUID}.json.gz").touch()
    assert len(files(tmp_path)) == 2
    assert file.delete(UUID, options(tmp_path)) is True
    assert files(tmp_path) == []
    assert file.get(UUID, options(tmp_path)) is None


def test_a_vcon_that_is_not_in_redis_is_an_error(tmp_path: Path) -> None:
    """A chain must not believe that it was kept."""
    with pytest.raises(LookupError, match=MISSING):
        file.save(MISSING, options(tmp_path))
    assert files(tmp_path) == []


def test_a_uuid_with_a_path_in_it_is_not_saved(tmp_path: Path) -> None:
    """Also if Redis has a key of that name."""
    VconRedis().store_vcon_dict({**VCON, "uuid": "../outside"})
    with pytest.raises(ValueError, match="not a uuid"):
        file.save("../outside", options(tmp_path))
    assert files(tmp_path) == []


def test_many_threads_save_at_once(tmp_path: Path) -> None:
    """They make the same folders, and sometimes save the same vCon."""
    documents = [{**VCON, "uuid": f"00000000-0000-8000-8000-{number:012}"} for number in range(20)]
    for document in documents:
        VconRedis().store_vcon_dict(document)
    opts = options(tmp_path)
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda one: file.save(one["uuid"], opts), documents * 4))
    assert len(files(tmp_path)) == len(documents)
    assert all(file.get(document["uuid"], opts) == document for document in documents)
