"""Keeps vCons as files.

A file is `UUID.json` or `UUID.json.gz`. It is written beside its place and then renamed, so it is
there whole or not at all; saving again replaces it. Folders that are missing are made; the
permissions of others are left alone. A uuid that could be a path is refused.

Reads the vCon, which is kept in the form of EGRESS_FORMAT_VERSION; writes nothing on it. Raises
`LookupError` for a vCon that is not in Redis, `ValueError` for one that is too large or a uuid that
is no plain name, and `OSError` when the disk does.
"""

import gzip
import os
import re
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import orjson
from pydantic import BeforeValidator, Field

from lib.options import GuestOptions
from lib.vcon_dates import created_at
from lib.vcon_egress_compat import to_configured_legacy
from lib.vcon_redis import VconRedis

only_through_lib = True

# Every system call lets go of the interpreter, and with many threads it may take long until it is
# had again. So a save makes six, on names that are made up here, and no more.
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_PROCESS = uuid4().hex[:8]
_drafts = count()

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_SUFFIXES = (".json", ".json.gz")
_DAY = "[0-9][0-9][0-9][0-9]/[0-9][0-9]/[0-9][0-9]"


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
        0o644, description="of files; octal, as number or text", json_schema_extra={"octal": True}
    )
    dir_permissions: Permissions = Field(
        0o755,
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
    """Write the vCon as it is now in Redis."""
    options = Options.of(opts)
    name = _plain(vcon_uuid)
    document = VconRedis().get_vcon_dict(vcon_uuid)
    if document is None:
        raise LookupError(f"there is no vCon {vcon_uuid} in Redis")
    content = _content(document, options)
    folder = options.path / (_day(document) if options.organize_by_date else "")
    suffix, other = reversed(_SUFFIXES) if options.compression else _SUFFIXES
    _write(folder, f"{name}{suffix}", content, options)
    (folder / f"{name}{other}").unlink(missing_ok=True)


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


def _plain(vcon_uuid: str) -> str:
    """The uuid, if it can be the name of a file and nothing more: no path, no pattern."""
    if not _PLAIN_NAME.fullmatch(vcon_uuid):
        raise ValueError(f"not a vCon uuid: {vcon_uuid!r:.80}")
    return vcon_uuid


def _content(document: dict[str, Any], options: Options) -> bytes:
    text = orjson.dumps(to_configured_legacy(document))
    limit = options.max_file_size
    if len(text) > limit:
        raise ValueError(f"the vCon has {len(text)} bytes, max_file_size allows {limit}")
    return gzip.compress(text, mtime=0) if options.compression else text


def _day(document: dict[str, Any]) -> str:
    """The folder of the day on which the vCon was made: the same however often it is saved."""
    made = created_at(document)
    return "" if made is None else f"{made:%Y/%m/%d}"


def _files(vcon_uuid: str, opts: Given) -> list[Path]:
    """The files that hold a vCon, in the folder itself or in that of any day."""
    name = _plain(vcon_uuid)
    path = Options.of(opts).path
    return [
        file
        for suffix in _SUFFIXES
        for pattern in (f"{name}{suffix}", f"{_DAY}/{name}{suffix}")
        for file in path.glob(pattern)
    ]


def _write(folder: Path, name: str, content: bytes, options: Options) -> None:
    """Write a file beside its place and put it there in one step; missing folders are made."""
    draft = folder / f".{name}.{_PROCESS}.{os.getpid()}.{next(_drafts)}.tmp"
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
        draft.replace(folder / name)
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
