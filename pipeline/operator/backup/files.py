"""Where a backup comes from and goes to: files that are there completely or not at all."""

import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from core.errors import ConflictError, InvalidError

STANDARD = "-"
"""Standard input or output."""
PRIVATE = 0o600
_COPIED = 1024 * 1024


@contextmanager
def written(name: str) -> Iterator[BinaryIO]:
    """A file for its owner only, which gets its name when the block ends without an error.

    Raises:
        ConflictError: the file exists.
        InvalidError: it cannot be written.
    """
    if name == STANDARD:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(name)
    if path.exists() or path.is_symlink():
        msg = f"{name} exists: a backup replaces no file; choose another name"
        raise ConflictError(msg)
    partial = path.with_name(f".{path.name[:200]}.{secrets.token_hex(8)}.partial")
    try:
        with open(partial, "xb", opener=_private) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
        _sync_folder(path.parent)
    except OSError as error:
        msg = f"{name} cannot be written: {error.strerror or error}"
        raise InvalidError(msg) from error
    finally:
        partial.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE)


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # some file systems cannot
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def readable(name: str) -> Iterator[BinaryIO]:
    """A file that can be read several times; standard input is copied to a temporary one.

    Raises:
        InvalidError: it cannot be read.
    """
    try:
        with tempfile.TemporaryFile() if name == STANDARD else Path(name).open("rb") as file:
            if name == STANDARD:
                while piece := sys.stdin.buffer.read(_COPIED):
                    file.write(piece)
                file.seek(0)
            yield file
    except OSError as error:
        msg = f"{name} cannot be read: {error.strerror or error}"
        raise InvalidError(msg) from error
