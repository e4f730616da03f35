"""Folders that the servers can reach, use alone and leave behind clean.

Root's servers run under an unprivileged account, which can reach nothing below a closed folder such
as /root. No folder that exists is ever opened up: a place is chosen that is open already.
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
BASES = (Path("/tmp"), STABLE_BASE)  # noqa: S108 - mkdtemp makes a folder nobody else can name


def reachable(folder: Path) -> bool:
    """Whether every user may pass through an existing folder and all above it."""
    path = folder.resolve()
    return all(place.stat().st_mode & stat.S_IXOTH for place in (path, *path.parents))


def server_folder(folder: Path) -> Path:
    """Returns `folder`, made if missing, or a stand-in where root's account cannot reach it.

    The stand-in is the same at every call for the same folder.

    Raises:
        StackError: the stand-in exists and somebody else may have put things there.
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
    """Makes a folder that the servers' account can pass through; one that exists stays as it is."""
    try:
        folder.mkdir()
    except FileExistsError:
        return
    folder.chmod(TRAVERSABLE)  # whatever the umask says


@contextmanager
def claimed(folder: Path, name: str = "lock") -> Iterator[int]:
    """Yields the descriptor of the folder's lock, to be passed to the server that uses the folder.

    The lock lasts until this context and everything that inherited the descriptor have ended.

    Raises:
        StackError: the folder is claimed already.
    """
    with (folder / name).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(f"{folder} is in use by a server that still runs; stop it") from None
        yield lock.fileno()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yields a new folder that the servers can reach; it is removed at the end.

    Those that killed processes left behind are removed now.
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
    """Removes this user's temporary folders that are at least so old and have lost their owner."""
    for folder in base.glob(f"{PREFIX}*"):
        with suppress(OSError, StackError):  # it goes away by itself, or has an owner
            made = folder.lstat()
            old = time.time() - made.st_mtime >= seconds
            if old and made.st_uid == os.geteuid() and (folder / OWNER).is_file():
                with claimed(folder, OWNER):
                    shutil.rmtree(folder, ignore_errors=True)
