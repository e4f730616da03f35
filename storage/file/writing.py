"""Writing files so that they are never incomplete.

Each system call releases the interpreter's lock, and beside a busy event loop it may take long to
get it back. Therefore a file takes only five; temporary names are made up here and not by
`tempfile`, which would need more.
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from uuid import uuid4

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_PROCESS = uuid4().hex[:8]
_drafts = count()


@dataclass(frozen=True, slots=True)
class Modes:
    """The permissions of new files and folders, and whether files are flushed to the disk."""

    of_files: int
    of_folders: int
    fsync: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """A vCon's file: its uuid, its location relative to the storage's path, its content."""

    name: str
    place: str
    content: bytes


def write(path: str, drafts: Sequence[Draft], modes: Modes) -> list[Exception | None]:
    """Write files under temporary names and rename them; the error of each file, or None.

    Missing folders are created. With `fsync` all are written before the first is flushed, so that
    the disk's journal is written once for most of them, and each folder is flushed once.
    """
    files = [f"{path}/{draft.place}" for draft in drafts]
    begun = [_begun(file, draft.content, modes) for file, draft in zip(files, drafts, strict=True)]
    errors = [_ended(file, each, modes) for file, each in zip(files, begun, strict=True)]
    if not modes.fsync:
        return errors
    folders = [file.rpartition("/")[0] for file in files]
    failed = dict(_unsynced(set(folders)))
    return [error or failed.get(folder) for folder, error in zip(folders, errors, strict=True)]


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


def temporary(name: str) -> str:
    """A hidden name beside the given one that no other process or thread uses."""
    folder, _, last = name.rpartition("/")
    return f"{folder}/.{last}.{_PROCESS}.{os.getpid()}.{next(_drafts)}"


def _begun(file: str, content: bytes, modes: Modes) -> tuple[int, str] | Exception:
    """The descriptor and the name of a temporary file with the content, or the error."""
    name = f"{temporary(file)}.tmp"
    try:
        try:
            descriptor = os.open(name, _NEW, modes.of_files)
        except FileNotFoundError:
            make_folder(Path(file).parent, modes.of_folders)
            descriptor = os.open(name, _NEW, modes.of_files)
    except OSError as error:
        return error
    try:
        written = os.write(descriptor, content)
        while written < len(content):
            written += os.write(descriptor, content[written:])
        os.fchmod(descriptor, modes.of_files)  # open() was subject to the umask
    except OSError as error:
        _give_up(descriptor, name)
        return error
    return descriptor, name


def _ended(file: str, begun: tuple[int, str] | Exception, modes: Modes) -> Exception | None:
    if isinstance(begun, Exception):
        return begun
    descriptor, name = begun
    try:
        if modes.fsync:  # before the rename: a power cut must not leave an incomplete file
            os.fsync(descriptor)
    except OSError as error:
        _give_up(descriptor, name)
        return error
    try:
        os.close(descriptor)
        Path(name).replace(file)
    except OSError as error:
        with suppress(OSError):
            Path(name).unlink()
        return error
    return None


def _give_up(descriptor: int, name: str) -> None:
    with suppress(OSError):
        os.close(descriptor)
    with suppress(OSError):
        Path(name).unlink()


def _unsynced(folders: Iterable[str]) -> Iterable[tuple[str, Exception]]:
    """Flush the folders' entries, so that the renames survive a power cut; those that failed."""
    for folder in folders:
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            yield folder, error
