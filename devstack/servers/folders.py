"""Folders for the servers: accessible to their account, locked, and removed afterwards.

Root's servers run under an unprivileged account, which cannot access folders below /root and so on.
The modes of existing folders are never changed; an accessible location is chosen instead.
"""

import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from devstack.errors import StackError
from devstack.servers.account import server_account

PREFIX = "patchcord-"
OWNER = "owner"
ABANDONED_SECONDS = 60
TRAVERSABLE = 0o711
STABLE_BASE = Path("/var/tmp")  # noqa: S108 - what lies there is checked before it is used
BASES = (Path("/tmp"), STABLE_BASE)  # noqa: S108 - mkdtemp makes an unpredictable name


def reachable(folder: Path) -> bool:
    """Whether all users can traverse an existing folder and its parents."""
    path = folder.resolve()
    return all(place.stat().st_mode & stat.S_IXOTH for place in (path, *path.parents))


def server_folder(folder: Path) -> Path:
    """Returns `folder`, created if missing, or a substitute if root's account cannot access it.

    The substitute for a folder is always the same.

    Raises:
        StackError: if the substitute exists and is writable by another user.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if server_account() is None or reachable(folder):
        return folder
    digest = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:12]
    stand_in = STABLE_BASE / f"{PREFIX}{digest}"
    make_traversable(stand_in)
    found = stand_in.lstat()
    if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o022:
        raise StackError(f"{stand_in} is not a folder of this user alone; remove it and run again")
    return stand_in


def make_traversable(folder: Path) -> None:
    """Creates a folder that the servers' account can traverse; an existing one is not changed."""
    try:
        folder.mkdir()
    except FileExistsError:
        return
    folder.chmod(TRAVERSABLE)  # independent of the umask


@contextmanager
def claimed(folder: Path, name: str = "lock") -> Iterator[int]:
    """Locks the folder; yields the lock's descriptor, to be inherited by the server.

    The lock is held until this context and all processes with the descriptor have ended.

    Raises:
        StackError: if the folder is locked.
    """
    with (folder / name).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(f"{folder} is in use by a server that still runs; stop it") from None
        yield lock.fileno()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yields a new folder that is accessible to the servers; it is removed at the end.

    Folders of killed processes are removed, too.
    """
    base = _temporary_base()
    remove_abandoned(base)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    if server_account() is not None:
        folder.chmod(TRAVERSABLE)
    try:
        with claimed(folder, OWNER):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _temporary_base() -> Path:
    usual = Path(tempfile.gettempdir())
    if server_account() is None:
        return usual
    return next((base for base in (usual, *BASES) if reachable(base)), usual)


def remove_abandoned(base: Path, seconds: float = ABANDONED_SECONDS) -> None:
    """Removes this user's temporary folders that have a minimum age and no lock."""
    for folder in base.glob(f"{PREFIX}*"):
        with suppress(OSError, StackError):  # it goes away by itself, or has an owner
            made = folder.lstat()
            old = time.time() - made.st_mtime >= seconds
            if old and made.st_uid == os.geteuid() and (folder / OWNER).is_file():
                with claimed(folder, OWNER):
                    shutil.rmtree(folder, ignore_errors=True)
