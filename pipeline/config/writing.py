"""Replacing the configuration file: a draft beside it, a backup of what it was, then a rename.

At every moment the file is either the old or the new one, whole. A crash leaves at most a draft,
which the next replacement removes.
"""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import yaml

from core.errors import BusyError, InvalidError, UnavailableError

MOST_BACKUPS = 10
"""Backups that are kept; the oldest ones go."""
_DRAFT = ".draft-"
_DIGIT = "[0-9]"
_TIME = f"{_DIGIT * 8}T{_DIGIT * 6}.{_DIGIT * 6}Z"


class _Plain(yaml.SafeDumper):
    """Writes repeated values in full: an alias in their place would be hard to edit."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def yaml_text(document: object) -> bytes:
    """The document as YAML that says exactly the same.

    Raises:
        InvalidError: there is no such YAML.
    """
    try:
        text = yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=100)
        if repr(yaml.safe_load(text)) == repr(document):
            return text.encode()
    except (yaml.YAMLError, ValueError, RecursionError):
        pass
    raise InvalidError(
        "the configuration cannot be written as YAML: it is nested too deeply, or odd"
    )


class ConfigFile:
    """The file and its backups: `NAME.TIME.bak` in the same folder."""

    def __init__(self, path: Path) -> None:
        """A symbolic link is followed at each use, so that the link stays."""
        self._path = path

    @property
    def path(self) -> Path:
        """Where the file itself is."""
        return self._path.resolve()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the folder, which other processes that replace the file take, too.

        Raises:
            BusyError: another process holds it.
            UnavailableError: the file or its folder cannot be written to.
        """
        with self._refusing():
            folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            _lock(folder)
            yield
        finally:
            os.close(folder)

    @contextmanager
    def draft(self, content: bytes) -> Iterator[Path]:
        """A file beside it with this content, with its owner and mode; removed at the end.

        Raises:
            UnavailableError: it cannot be written, or may not replace the file.
        """
        with self._refusing():
            self._remove_drafts()
            self._check_writable()
            number, name = tempfile.mkstemp(prefix=self._draft_prefix, dir=self.path.parent)
        try:
            with self._refusing(), os.fdopen(number, "wb") as file:
                file.write(content)
                self._like_the_original(file.fileno())
                file.flush()
                os.fsync(file.fileno())
            yield Path(name)
        finally:
            with contextlib.suppress(OSError):
                Path(name).unlink()

    def install(self, draft: Path) -> None:
        """Back the file up, and put the draft in its place.

        Raises:
            UnavailableError: that is not possible; the file is unchanged.
        """
        with self._refusing():
            if self.path.exists():
                self._back_up()
            draft.replace(self.path)
        with contextlib.suppress(OSError):  # the file is replaced even if this fails
            self._sync_folder()
            for old in self.backups()[MOST_BACKUPS:]:
                old.unlink()

    def backups(self) -> list[Path]:
        """The backups, newest first."""
        pattern = f"{_literal(self.path.name)}.{_TIME}.bak"
        return sorted(self.path.parent.glob(pattern), reverse=True)

    def _back_up(self) -> None:
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        number, name = tempfile.mkstemp(prefix=self._draft_prefix, dir=self.path.parent)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(self.path.read_bytes())
                self._like_the_original(file.fileno())
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path.with_name(f"{self.path.name}.{now}.bak"))
        finally:
            Path(name).unlink(missing_ok=True)

    @property
    def _draft_prefix(self) -> str:
        return f".{self.path.name}{_DRAFT}"

    def _remove_drafts(self) -> None:
        for left in self.path.parent.glob(f"{_literal(self._draft_prefix)}*"):
            left.unlink()

    def _check_writable(self) -> None:
        """A rename would also replace a file that is protected against writing."""
        if self.path.exists() and not os.access(self.path, os.W_OK):
            raise PermissionError(None, "Permission denied")

    def _like_the_original(self, number: int) -> None:
        if self.path.exists():
            status = self.path.stat()
            mine = os.fstat(number)
            if (mine.st_uid, mine.st_gid) != (status.st_uid, status.st_gid):
                os.fchown(number, status.st_uid, status.st_gid)
            os.fchmod(number, status.st_mode & 0o7777)

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            msg = f"{self._path} cannot be replaced ({error.strerror}); it is unchanged"
            raise UnavailableError(msg) from error


def _lock(folder: int) -> None:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BusyError("the configuration is being replaced; try again later") from None


def _literal(name: str) -> str:
    """A name in a pattern of `glob`, with no character of it having a meaning."""
    return "".join(f"[{each}]" if each in "*?[" else each for each in name)
