"""Stores vCons as files.

A file is `UUID.json` or `UUID.json.gz`. It is written under a temporary name and then renamed, so
it is never incomplete. Saving again replaces it, also if its location changes because the vCon has
another `created_at` or the options have changed. Missing folders are created; the permissions of
existing folders are not changed.

The location of each vCon is recorded in the folder `.lookup`, as the target of a symbolic link, so
that a save need not search the folder of every day. If `path` had files before `.lookup` was
created, or its disk has no symbolic links, a save searches all folders for a vCon whose location is
not recorded.

Reads the vCon, which is stored in the format EGRESS_FORMAT_VERSION; writes nothing to it. Raises
`LookupError` for a vCon that is not in Redis, `ValueError` for a vCon that is too large or an id
that is not a uuid, and `OSError` for errors of the disk.
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

from lib.options import PluginOptions
from lib.vcon_egress_compat import to_configured_legacy
from lib.vcon_fields import created_at, day_folder, required_uuid
from lib.vcon_redis import VconRedis

only_through_lib = True

log = logging.getLogger(__name__)

# Each system call releases the interpreter's lock, and with many threads it may take long to get it
# back. Therefore a save makes only six, and one more for a new vCon; temporary names are made up
# here and not by `tempfile`, which would need more.
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_PROCESS = uuid4().hex[:8]
_drafts = count()

_SUFFIXES = (".json", ".json.gz")
_DAYS = tuple("[0-9]" * digits + "/[0-9][0-9]/[0-9][0-9]/" for digits in (4, 3, 2, 1))
"""Patterns for the folders of days; earlier versions wrote years before 1000 with fewer digits."""
_LOOKUP = ".lookup"
_INCOMPLETE = "incomplete"
"""A file in `.lookup` that marks it as incomplete: vCons may exist without an entry."""

_complete: dict[Path, bool] = {}
_folders: dict[Path, tuple[str, ...]] = {}
_without_links: set[Path] = set()


def permissions(value: object) -> int:
    """A file mode from a number, or from text in octal, with or without `0o`.

    Raises:
        ValueError: for anything else, such as the decimal number 644 instead of 0o644.
    """
    try:
        mode = int(value, 8) if isinstance(value, str) else value
    except ValueError:
        mode = None
    if not isinstance(mode, int) or isinstance(mode, bool) or not 0 <= mode <= 0o777:
        raise ValueError('permissions: write them as octal digits, such as "0o644"')
    return mode


Permissions = Annotated[int, BeforeValidator(permissions)]


class Options(PluginOptions):
    """Options of the storage."""

    path: Path = Field(Path("/data/vcons"), description="the folder")
    organize_by_date: bool = Field(
        True, description="whether to use subfolders `YYYY/MM/DD` of the vCon's `created_at` in UTC"
    )
    compression: bool = Field(False, description="whether to compress files with gzip")
    max_file_size: int = Field(
        10_485_760, description="the maximum bytes of JSON; a larger vCon is refused"
    )
    file_permissions: Permissions = Field(
        0o640,
        description="the mode of files; octal, as number or text",
        json_schema_extra={"octal": True},
    )
    dir_permissions: Permissions = Field(
        0o750,
        description="the mode of created folders; octal, as number or text",
        json_schema_extra={"octal": True},
    )
    fsync: bool = Field(
        False,
        description="+ whether to flush each file to the disk before a save returns, which "
        "protects it against a power cut",
    )


type Given = Mapping[str, Any] | Options | None


def save(vcon_uuid: str, opts: Given = None) -> None:
    """Write the vCon's current content in Redis, and remove the file that it replaces."""
    options, name = Options.of(opts), required_uuid(vcon_uuid)
    document = VconRedis().get_vcon_dict(vcon_uuid)
    if document is None:
        raise LookupError(f"there is no vCon {vcon_uuid} in Redis")
    content = _content(document, options)
    place = _place(document, name, options)
    recorded = _recorded_place(name, options)
    _write(options.path / place, content, options)
    if recorded != place:
        _replace(name, recorded, place, options)


def get(vcon_uuid: str, opts: Given = None) -> dict[str, Any] | None:
    """The vCon as last saved, or None."""
    files = _files(vcon_uuid, opts)
    if not files:
        return None
    newest = max(files, key=lambda file: file.stat().st_mtime_ns)
    content = newest.read_bytes()
    document = orjson.loads(gzip.decompress(content) if newest.suffix == ".gz" else content)
    return document if isinstance(document, dict) else None


def delete(vcon_uuid: str, opts: Given = None) -> bool:
    """Delete the vCon; False if there was none. Empty folders are kept."""
    files = _files(vcon_uuid, opts)
    for file in files:
        file.unlink(missing_ok=True)
    _entry(Options.of(opts).path, required_uuid(vcon_uuid)).unlink(missing_ok=True)
    return bool(files)


def make_folder(folder: Path, mode: int) -> None:
    """Create a folder and its missing parents; only created folders get the mode."""
    if folder.is_dir():
        return
    make_folder(folder.parent, mode)
    try:
        folder.mkdir()
    except FileExistsError:  # created meanwhile by another thread or process, which sets the mode
        return
    folder.chmod(mode)  # mkdir(mode) would be subject to the umask


def _content(document: dict[str, Any], options: Options) -> bytes:
    text = orjson.dumps(to_configured_legacy(document))
    limit = options.max_file_size
    if len(text) > limit:
        raise ValueError(f"the vCon has {len(text)} bytes, max_file_size allows {limit}")
    return gzip.compress(text, mtime=0) if options.compression else text


def _place(document: dict[str, Any], name: str, options: Options) -> str:
    """The file's location relative to `path`; it depends on `created_at` and the uuid only."""
    made = created_at(document) if options.organize_by_date else None
    day = "" if made is None else f"{day_folder(made)}/"
    return f"{day}{name}{_SUFFIXES[options.compression]}"


def _files(vcon_uuid: str, opts: Given) -> list[Path]:
    """The files of a vCon, in the folder itself or in the folder of any day."""
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


def _recorded_place(name: str, options: Options) -> str | None:
    """The vCon's location recorded in `.lookup`, or None.

    `.lookup` is created before the first file is written: that is the only time at which it can be
    seen whether files existed before it.
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
    """Whether `.lookup` has an entry for every vCon in the path; creates that folder."""
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
        except OSError:  # created meanwhile by another process
            shutil.rmtree(draft)
    return not (lookup / _INCOMPLETE).exists()


def _replace(name: str, recorded: str | None, place: str, options: Options) -> None:
    """Record the vCon's new location, and remove its files at other locations."""
    path = options.path
    if recorded is None and _complete.get(path):
        older = []
    else:
        search = _files if path in _without_links else _files_from_before
        older = search(name, options) if recorded is None else [path / recorded]
    for file in older:
        if file != path / place:
            file.unlink(missing_ok=True)
    _record_place(name, place, options)


def _files_from_before(name: str, options: Options) -> list[Path]:
    """The files of a vCon in the folders that existed at this process's first search.

    Later saves are recorded in `.lookup`, so the folders are listed once and not for each vCon.
    """
    path = options.path
    if path not in _folders:
        found = (str(folder) for days in _DAYS for folder in path.glob(days))
        _folders[path] = (str(path), *found)
    files = (f"{folder}/{name}{suffix}" for folder in _folders[path] for suffix in _SUFFIXES)
    return [Path(file) for file in files if os.access(file, os.F_OK)]


def _record_place(name: str, place: str, options: Options) -> None:
    entry = _entry(options.path, name)
    draft = entry.with_name(f".{entry.name}.{_PROCESS}.{os.getpid()}.{next(_drafts)}")
    try:
        try:
            _link(place, entry, options)
        except FileExistsError:
            draft.symlink_to(place)
            draft.replace(entry)
    except OSError as error:  # a disk without symbolic links: later saves search all folders
        log.warning(
            "file location not recorded",
            extra={"storage": "storage.file", "vcon": name, "error": str(error)},
        )
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
    """Write a file under a temporary name and rename it; creates missing folders."""
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
    """Write the content, usually with a single system call."""
    written = os.write(descriptor, content)
    while written < len(content):
        written += os.write(descriptor, content[written:])
    os.fchmod(descriptor, options.file_permissions)  # open() was subject to the umask
    if options.fsync:  # before the rename: a power cut must not leave an incomplete file
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, so that the rename survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
