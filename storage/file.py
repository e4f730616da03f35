"""Keeps vCons as files.

A file is `UUID.json` or `UUID.json.gz`. It is written beside its place and then renamed, so it is
there whole or not at all. Saving again replaces it, wherever it lies: also when the vCon comes with
another `created_at`, or the options say another place. Folders that are missing are made; the
permissions of others are left alone.

The place of each vCon is noted in the folder `.lookup`, as the text of a symbolic link, so that a
save need not look into the folder of every day. A `path` that had files before there was a
`.lookup`, or whose disk has no symbolic links, is looked through instead whenever a vCon is saved
whose place is not noted.

Reads the vCon, which is kept in the form of EGRESS_FORMAT_VERSION; writes nothing on it. Raises
`LookupError` for a vCon that is not in Redis, `ValueError` for one that is too large or a text that
is not a uuid, and `OSError` when the disk does.
"""

import gzip
import logging
import os
import shutil
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import orjson
from pydantic import BeforeValidator, Field

from lib.options import GuestOptions
from lib.vcon_egress_compat import to_configured_legacy
from lib.vcon_fields import created_at, day_folder, required_uuid
from lib.vcon_redis import VconRedis

only_through_lib = True

log = logging.getLogger(__name__)

# Every system call lets go of the interpreter, and with many threads it may take long until it is
# had again. So a save makes six, on names that are made up here, and one more for a new vCon.
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_PROCESS = uuid4().hex[:8]
_drafts = count()

_SUFFIXES = (".json", ".json.gz")
_DAYS = tuple("[0-9]" * digits + "/[0-9][0-9]/[0-9][0-9]/" for digits in (4, 3, 2, 1))
"""The folders of days; years before 1000 had fewer digits once."""
_LOOKUP = ".lookup"
_INCOMPLETE = "incomplete"
"""A file in `.lookup` that says that there may be vCons which are not noted there."""

_complete: dict[Path, bool] = {}
_folders: dict[Path, tuple[str, ...]] = {}
_without_links: set[Path] = set()


def permissions(value: object) -> int:
    """A file mode from a number, or from text in octal, with or without `0o`.

    Raises:
        ValueError: for anything else, such as 644 where 0o644 was meant.
    """
    try:
        mode = int(value, 8) if isinstance(value, str) else value
    except ValueError:
        mode = None
    if not isinstance(mode, int) or isinstance(mode, bool) or not 0 <= mode <= 0o777:
        raise ValueError('permissions: expected octal digits such as "0o644"')
    return mode


Permissions = Annotated[int, BeforeValidator(permissions)]


class Options(GuestOptions):
    """Where files lie, and what they are like."""

    path: Path = Field(Path("/data/vcons"), description="the folder")
    organize_by_date: bool = Field(
        True, description="folders `YYYY/MM/DD` in it, by the day (UTC) on which a vCon was made"
    )
    compression: bool = Field(False, description="gzip")
    max_file_size: int = Field(
        10_485_760, description="the most bytes of JSON; a larger vCon is refused"
    )
    file_permissions: Permissions = Field(
        0o640, description="of files; octal, as number or text", json_schema_extra={"octal": True}
    )
    dir_permissions: Permissions = Field(
        0o750,
        description="of the folders that are made; others keep theirs",
        json_schema_extra={"octal": True},
    )
    fsync: bool = Field(
        False,
        description="+ whether each file is on the disk before the storage has it, which a process "
        "that dies does not need, but a power cut does",
    )


type Given = Mapping[str, Any] | Options | None


def save(vcon_uuid: str, opts: Given = None) -> None:
    """Write the vCon as it is now in Redis, and remove the file that it replaces."""
    options, name = Options.of(opts), required_uuid(vcon_uuid)
    document = VconRedis().get_vcon_dict(vcon_uuid)
    if document is None:
        raise LookupError(f"there is no vCon {vcon_uuid} in Redis")
    content = _content(document, options)
    place = _place(document, name, options)
    noted = _noted_place(name, options)
    _write(options.path / place, content, options)
    if noted != place:
        _replace(name, noted, place, options)


def get(vcon_uuid: str, opts: Given = None) -> dict[str, Any] | None:
    """The vCon as it was saved last, or None."""
    files = _files(vcon_uuid, opts)
    if not files:
        return None
    newest = max(files, key=lambda file: file.stat().st_mtime_ns)
    content = newest.read_bytes()
    document = orjson.loads(gzip.decompress(content) if newest.suffix == ".gz" else content)
    return document if isinstance(document, dict) else None


def delete(vcon_uuid: str, opts: Given = None) -> bool:
    """Remove the vCon; False when it was not there. Folders stay, even empty ones."""
    files = _files(vcon_uuid, opts)
    for file in files:
        file.unlink(missing_ok=True)
    _entry(Options.of(opts).path, required_uuid(vcon_uuid)).unlink(missing_ok=True)
    return bool(files)


def make_folder(folder: Path, mode: int) -> None:
    """Make a folder and those it lies in, where they are missing; only these get the mode."""
    if folder.is_dir():
        return
    make_folder(folder.parent, mode)
    try:
        folder.mkdir()
    except FileExistsError:  # somebody was quicker, and has set the mode too
        return
    folder.chmod(mode)  # mkdir(mode) would be subject to the umask


def _content(document: dict[str, Any], options: Options) -> bytes:
    text = orjson.dumps(to_configured_legacy(document))
    limit = options.max_file_size
    if len(text) > limit:
        raise ValueError(f"the vCon has {len(text)} bytes, max_file_size allows {limit}")
    return gzip.compress(text, mtime=0) if options.compression else text


def _place(document: dict[str, Any], name: str, options: Options) -> str:
    """Where the file goes, below the path: the same however often this vCon is saved."""
    made = created_at(document) if options.organize_by_date else None
    day = "" if made is None else f"{day_folder(made)}/"
    return f"{day}{name}{_SUFFIXES[options.compression]}"


def _files(vcon_uuid: str, opts: Given) -> list[Path]:
    """The files that hold a vCon, in the folder itself or in that of any day."""
    name = required_uuid(vcon_uuid)
    path = Options.of(opts).path
    return [
        file
        for suffix in _SUFFIXES
        for folder in ("", *_DAYS)
        for file in path.glob(f"{folder}{name}{suffix}")
    ]


def _entry(path: Path, name: str) -> Path:
    return path / _LOOKUP / name[-2:] / name[:-2]


def _noted_place(name: str, options: Options) -> str | None:
    """Where the vCon lies by what is noted; None for one whose place is not.

    The folder of the notes is made before the first file: only then can it be told whether there
    were files before it.
    """
    path = options.path
    try:
        place = str(_entry(path, name).readlink())
    except OSError:
        if path not in _complete:
            _complete[path] = _has_all_places(options)
        return None
    is_ours = place.endswith(tuple(name + suffix for suffix in _SUFFIXES)) and ".." not in place
    return place if is_ours else None


def _has_all_places(options: Options) -> bool:
    """Whether every vCon in the path is noted in `.lookup`; makes that folder."""
    path = options.path
    lookup = path / _LOOKUP
    if not lookup.is_dir():
        had_files = path.is_dir() and any(not each.name.startswith(".") for each in path.iterdir())
        draft = path / f"{_LOOKUP}.{_PROCESS}.{next(_drafts)}"
        make_folder(draft, options.dir_permissions)
        if had_files:
            (draft / _INCOMPLETE).touch()
        try:
            draft.rename(lookup)
        except OSError:  # another process was quicker
            shutil.rmtree(draft)
    return not (lookup / _INCOMPLETE).exists()


def _replace(name: str, noted: str | None, place: str, options: Options) -> None:
    """Note where the vCon lies now, and remove what is left of it elsewhere."""
    path = options.path
    if noted is None and _complete.get(path):
        older = []
    else:
        search = _files if path in _without_links else _files_from_before
        older = search(name, options) if noted is None else [path / noted]
    for file in older:
        if file != path / place:
            file.unlink(missing_ok=True)
    _note_place(name, place, options)


def _files_from_before(name: str, options: Options) -> list[Path]:
    """The files of a vCon in folders that were there when this process first looked.

    What has been saved since is noted, so the folders are listed once and not for each vCon.
    """
    path = options.path
    if path not in _folders:
        found = (str(folder) for days in _DAYS for folder in path.glob(days))
        _folders[path] = (str(path), *found)
    files = (f"{folder}/{name}{suffix}" for folder in _folders[path] for suffix in _SUFFIXES)
    return [Path(file) for file in files if os.access(file, os.F_OK)]


def _note_place(name: str, place: str, options: Options) -> None:
    entry = _entry(options.path, name)
    draft = entry.with_name(f".{entry.name}.{_PROCESS}.{os.getpid()}.{next(_drafts)}")
    try:
        try:
            _link(place, entry, options)
        except FileExistsError:
            draft.symlink_to(place)
            draft.replace(entry)
    except OSError as error:  # a disk without symbolic links: look through it from now on
        log.warning("place of a vCon not noted", extra={"vcon": name, "error": str(error)})
        (options.path / _LOOKUP / _INCOMPLETE).touch()
        _complete[options.path] = False
        _without_links.add(options.path)


def _link(place: str, entry: Path, options: Options) -> None:
    try:
        entry.symlink_to(place)
    except FileNotFoundError:
        make_folder(entry.parent, options.dir_permissions)
        entry.symlink_to(place)


def _write(file: Path, content: bytes, options: Options) -> None:
    """Write a file beside its place and put it there in one step; missing folders are made."""
    folder = file.parent
    draft = folder / f".{file.name}.{_PROCESS}.{os.getpid()}.{next(_drafts)}.tmp"
    try:
        descriptor = os.open(draft, _NEW, options.file_permissions)
    except FileNotFoundError:
        make_folder(folder, options.dir_permissions)
        descriptor = os.open(draft, _NEW, options.file_permissions)
    try:
        try:
            _fill(descriptor, content, options)
        finally:
            os.close(descriptor)
        draft.replace(file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    if options.fsync:
        _sync_folder(folder)


def _fill(descriptor: int, content: bytes, options: Options) -> None:
    """Write it all, as one system call if the disk takes it so."""
    written = os.write(descriptor, content)
    while written < len(content):
        written += os.write(descriptor, content[written:])
    os.fchmod(descriptor, options.file_permissions)  # open() has been subject to the umask
    if options.fsync:  # so that not even a power cut leaves half a file
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    """Make sure that the names in a folder outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
