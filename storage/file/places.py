"""Where each vCon lies: the folder `.lookup` of symbolic links, and the search without it."""

import contextlib
import heapq
import logging
import os
import shutil
from pathlib import Path

from lib.vcon.fields import canonical_uuid
from storage.file.writing import Modes, make_folder, temporary

log = logging.getLogger(__name__)

SUFFIXES = (".json", ".json.gz")
DAYS = tuple("[0-9]" * digits + "/[0-9][0-9]/[0-9][0-9]/" for digits in (4, 3, 2, 1))
"""Patterns for the folders of days; earlier versions wrote years before 1000 with fewer digits."""
_LOOKUP = ".lookup"
_INCOMPLETE = "incomplete"
"""A file in `.lookup` that marks it as incomplete: vCons may exist without an entry."""

_complete: dict[Path, bool] = {}
_folders: dict[Path, tuple[str, ...]] = {}
_without_links: set[Path] = set()


def files(path: Path, name: str) -> list[Path]:
    """The files of a vCon, in the folder itself or in the folder of any day."""
    return [
        file
        for suffix in SUFFIXES
        for folder in ("", *DAYS)
        for file in path.glob(f"{folder}{name}{suffix}")
    ]


def newest(path: Path, most: int) -> list[str]:
    """The uuids of the files that were written last, at most so many, the newest first."""
    found: dict[str, int] = {}
    for file in files(path, "*"):
        with contextlib.suppress(OSError):  # deleted meanwhile
            name, written = file.name.partition(".")[0], file.stat().st_mtime_ns
            if canonical_uuid(name) == name:
                found[name] = max(written, found.get(name, 0))
    return heapq.nlargest(most, found, key=lambda name: (found[name], name))


def forget(path: Path, name: str) -> None:
    """Remove the record of a vCon's location."""
    _entry(path, name).unlink(missing_ok=True)


def _entry(path: Path, name: str) -> Path:
    return Path(f"{path}/{_LOOKUP}/{name[-2:]}/{name[:-2]}")


def recorded(path: Path, name: str, modes: Modes) -> str | None:
    """The vCon's location recorded in `.lookup`, or None.

    `.lookup` is created before the first file is written: that is the only time at which it can be
    seen whether files existed before it.
    """
    try:
        place = str(_entry(path, name).readlink())
    except OSError:
        if path not in _complete:
            _complete[path] = _has_all_places(path, modes)
        return None
    is_ours = place.endswith(tuple(name + suffix for suffix in SUFFIXES)) and ".." not in place
    return place if is_ours else None


def _has_all_places(path: Path, modes: Modes) -> bool:
    """Whether `.lookup` has an entry for every vCon in the path; creates that folder."""
    lookup = path / _LOOKUP
    if not lookup.is_dir():
        had_files = path.is_dir() and any(not each.name.startswith(".") for each in path.iterdir())
        draft = Path(temporary(f"{path}/{_LOOKUP.removeprefix('.')}"))
        make_folder(draft, modes.of_folders)
        if had_files:
            (draft / _INCOMPLETE).touch()
        try:
            draft.rename(lookup)
        except OSError:  # created meanwhile by another process
            shutil.rmtree(draft)
    return not (lookup / _INCOMPLETE).exists()


def replace(path: Path, name: str, recorded: str | None, place: str, modes: Modes) -> None:
    """Record the vCon's new location, and remove its files at other locations."""
    if recorded is None and _complete.get(path):
        older = []
    else:
        search = files if path in _without_links else _files_from_before
        older = search(path, name) if recorded is None else [path / recorded]
    for file in older:
        if file != path / place:
            file.unlink(missing_ok=True)
    _record_place(path, name, place, modes)


def _files_from_before(path: Path, name: str) -> list[Path]:
    """The files of a vCon in the folders that existed at this process's first search.

    Later saves are recorded in `.lookup`, so the folders are listed once and not for each vCon.
    """
    if path not in _folders:
        found = (str(folder) for days in DAYS for folder in path.glob(days))
        _folders[path] = (str(path), *found)
    found_by = (f"{folder}/{name}{suffix}" for folder in _folders[path] for suffix in SUFFIXES)
    return [Path(file) for file in found_by if os.access(file, os.F_OK)]


def _record_place(path: Path, name: str, place: str, modes: Modes) -> None:
    entry = _entry(path, name)
    try:
        try:
            _link(place, entry, modes)
        except FileExistsError:
            draft = Path(temporary(str(entry)))
            draft.symlink_to(place)
            draft.replace(entry)
    except OSError as error:  # a disk without symbolic links: later saves search all folders
        log.warning(
            "file location not recorded",
            extra={"storage": "storage.file", "vcon": name, "error": str(error)},
        )
        (path / _LOOKUP / _INCOMPLETE).touch()
        _complete[path] = False
        _without_links.add(path)


def _link(place: str, entry: Path, modes: Modes) -> None:
    try:
        entry.symlink_to(place)
    except FileNotFoundError:
        make_folder(entry.parent, modes.of_folders)
        entry.symlink_to(place)
