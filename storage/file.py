"""Keeps vCons as files.

Options: `path`, the folder; `organize_by_date`, whether it has a folder YYYY/MM/DD for each day
(UTC) on which vCons were made; `compression`, whether files are gzip; `max_file_size`, the most
bytes of JSON that are taken; `file_permissions` and `dir_permissions`, a number such as 0o644 or
that as text; `fsync`, whether each file is on the disk before `save` returns, which a process that
dies does not need, but a power cut does.

A file is `UUID.json` or `UUID.json.gz`; it is there whole or not at all, and saving again replaces
it. Folders that are missing are made; the permissions of others are left alone. Raises
`LookupError` for a vCon that is not in Redis, `ValueError` for one that is too large, a uuid that
is no plain name or permissions that are none, and `OSError` when the disk does.
"""

import gzip
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from lib.vcon_dates import created_at
from lib.vcon_redis import VconRedis

default_options: dict[str, Any] = {
    "path": "/data/vcons",
    "organize_by_date": True,
    "compression": False,
    "max_file_size": 10_485_760,
    "file_permissions": 0o644,
    "dir_permissions": 0o755,
    "fsync": False,
}
only_through_lib = True

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_SUFFIXES = (".json", ".json.gz")
_DAY = "[0-9][0-9][0-9][0-9]/[0-9][0-9]/[0-9][0-9]"


def save(vcon_uuid: str, opts: Mapping[str, Any] = default_options) -> None:
    """Write the vCon as it is now in Redis."""
    options = default_options | dict(opts)
    name = _plain(vcon_uuid)
    document = VconRedis().get_vcon_dict(vcon_uuid)
    if document is None:
        raise LookupError(f"there is no vCon {vcon_uuid} in Redis")
    content = _content(document, options)
    folder = Path(options["path"], _day(document) if switch(options["organize_by_date"]) else "")
    suffix, other = reversed(_SUFFIXES) if switch(options["compression"]) else _SUFFIXES
    make_folder(folder, permissions(options["dir_permissions"]))
    mode, sync = permissions(options["file_permissions"]), switch(options["fsync"])
    with _replaced(folder / f"{name}{suffix}", mode, sync=sync) as file:
        file.write(content)
    (folder / f"{name}{other}").unlink(missing_ok=True)


def get(vcon_uuid: str, opts: Mapping[str, Any] = default_options) -> dict[str, Any] | None:
    """The vCon as it was saved last, or None."""
    files = _files(vcon_uuid, opts)
    if not files:
        return None
    newest = max(files, key=lambda file: file.stat().st_mtime_ns)
    content = newest.read_bytes()
    document = orjson.loads(gzip.decompress(content) if newest.suffix == ".gz" else content)
    return document if isinstance(document, dict) else None


def delete(vcon_uuid: str, opts: Mapping[str, Any] = default_options) -> bool:
    """Remove the vCon; False when it was not there. Folders stay, even empty ones."""
    files = _files(vcon_uuid, opts)
    for file in files:
        file.unlink(missing_ok=True)
    return bool(files)


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
        raise ValueError(f'permissions: expected octal digits such as "0o644", got {value!r}')
    return mode


def switch(value: object) -> bool:
    """Whether an option is on; one that was filled from the environment is a text."""
    return value.lower() in ("1", "true", "yes", "on") if isinstance(value, str) else bool(value)


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


def _content(document: dict[str, Any], options: Mapping[str, Any]) -> bytes:
    text = orjson.dumps(document)
    limit = int(options["max_file_size"])
    if len(text) > limit:
        raise ValueError(f"the vCon has {len(text)} bytes, max_file_size allows {limit}")
    return gzip.compress(text, mtime=0) if switch(options["compression"]) else text


def _day(document: dict[str, Any]) -> str:
    """The folder of the day on which the vCon was made: the same however often it is saved."""
    made = created_at(document)
    return "" if made is None else f"{made:%Y/%m/%d}"


def _files(vcon_uuid: str, opts: Mapping[str, Any]) -> list[Path]:
    """The files that hold a vCon, in the folder itself or in that of any day."""
    name = _plain(vcon_uuid)
    path = Path((default_options | dict(opts))["path"])
    return [
        file
        for suffix in _SUFFIXES
        for pattern in (f"{name}{suffix}", f"{_DAY}/{name}{suffix}")
        for file in path.glob(pattern)
    ]


@contextmanager
def _replaced(target: Path, mode: int, *, sync: bool) -> Iterator[BinaryIO]:
    """A file to write to, which then takes the place of the target in one step.

    `sync`: not before it is on the disk, so that not even a power cut leaves half a file.
    """
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fchmod(descriptor, mode)
            if sync:
                os.fsync(descriptor)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    if sync:
        _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Make sure that the names in a folder outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
