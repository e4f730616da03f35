"""Media bodies as files: `MEDIA_FOLDER/{two digits}/{uuid}/{name}`.

The digits are the first of the SHA-256 of the uuid, so that no folder gets too many entries. A file
is written under another name, flushed to the disk and renamed: under its name it is whole, or not
there. One that a killed process has not renamed, `{name}.part`, is removed as an unused body is.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, override

from pipeline.media.stores import BlockingStore, MediaAwayError


class FileStore(BlockingStore):
    """Files that only this user can read; all replicas need the same folder."""

    kind: ClassVar[str] = "file"

    def __init__(self, folder: Path) -> None:
        """The folder must exist: it may be a volume, which is not mounted yet."""
        self._folder = folder

    @override
    def put_from_thread(self, vcon_uuid: str, name: str, text: bytes) -> None:
        """See `MediaStore`."""
        folder = self._folder_of(vcon_uuid)
        unfinished = folder / f"{name}.part"
        with self._away():
            while True:
                for each in (folder.parent, folder):
                    with contextlib.suppress(FileExistsError):
                        each.mkdir(mode=0o700)
                        _flush(each.parent)
                with contextlib.suppress(FileNotFoundError):  # a sweep has removed an empty folder
                    _write(unfinished, text)
                    unfinished.rename(folder / name)
                    _flush(folder)
                    return

    @override
    def _get(self, vcon_uuid: str, name: str) -> bytes | None:
        with self._away():
            try:
                return (self._folder_of(vcon_uuid) / name).read_bytes()
            except FileNotFoundError:
                self._check_mounted()
                return None

    @override
    def _names(self, vcon_uuid: str) -> list[str]:
        with self._away():
            try:
                return [each.name for each in self._folder_of(vcon_uuid).iterdir()]
            except FileNotFoundError:
                self._check_mounted()
                return []

    @override
    def _remove(self, vcon_uuid: str, names: Sequence[str]) -> None:
        folder = self._folder_of(vcon_uuid)
        with self._away():
            for name in names:
                (folder / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # it has other files, or is gone
                folder.rmdir()

    def _folder_of(self, vcon_uuid: str) -> Path:
        return self._folder / hashlib.sha256(vcon_uuid.encode()).hexdigest()[:2] / vcon_uuid

    def _check_mounted(self) -> None:
        """Raise FileNotFoundError without the folder itself: nothing is known of its files then."""
        self._folder.stat()

    @contextlib.contextmanager
    def _away(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            msg = f"media store file, MEDIA_FOLDER {self._folder}: {error}"
            raise MediaAwayError(msg) from error


def _write(path: Path, text: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _flush(folder: Path) -> None:
    """Make a new name in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
