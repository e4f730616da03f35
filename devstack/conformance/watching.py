"""What a plugin does to its process: connections, files, threads, sockets, warnings.

Python's audit events tell of connections and files as they are opened. The kit lets no connection
out of this machine: a plugin is tried with stand-ins or through the kit's proxy.
"""

import contextlib
import gc
import inspect
import locale
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LOCAL = ("127.", "::1", "localhost", "0.0.0.0")  # noqa: S104 -- compared with, not bound
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND
STARTS = ("_thread.start_new_thread", "os.fork", "os.posix_spawn", "subprocess.Popen")
STOPPING = (signal.SIGTERM, signal.SIGINT)
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.link", "os.symlink", "os.truncate")
UNWATCHED = ("/dev/", "/proc/", "/sys/")
MOST_FRAMES = 200
"""Lines that are kept of a stack, and of all threads that were started."""
MOST_PLACES = 100
"""Files whose lines are kept."""


class Watch:
    """Records audit events from `arm` on; an audit hook cannot be removed again.

    `peers`: (host, port) of connections, without those to `own_port`, which is Redis. `written`:
    files and folders that were opened to be written, made, renamed or removed; `places`: the lines
    that did so first, by path. `started`: the lines that started threads or processes. `kill_at`:
    kills the process at this event of either kind, counted from 1; 0: never.
    """

    def __init__(self, own_port: int) -> None:
        self.peers: list[tuple[str, int]] = []
        self.written: list[str] = []
        self.places: dict[str, list[tuple[str, int]]] = {}
        self.started: list[tuple[str, int]] = []
        self.kill_at = 0
        self._own_port = own_port
        self._armed = False
        self._events = 0
        sys.addaudithook(self._heard)

    def arm(self, *, kill_at: int = 0) -> None:
        """Forget what was seen, and record from now on."""
        self.peers, self.written = [], []
        self.places, self.started = {}, []
        self.kill_at, self._events, self._armed = kill_at, 0, True

    def disarm(self) -> None:
        """Record no more."""
        self._armed = False

    def _heard(self, event: str, details: tuple[Any, ...]) -> None:
        if event == "socket.connect":
            self._connects(details[1])
        elif event == "socket.getaddrinfo":
            _refuse_outside(details[0])
        elif not self._armed:
            return
        elif event == "open":
            self._opens(*details[:3])
        elif event in CHANGES:
            self._changes(event, str(details[0]))
        elif event in STARTS:
            self.started = [*self.started, *_frames()][-MOST_FRAMES:]

    def _connects(self, address: object) -> None:
        if not isinstance(address, tuple) or len(address) < 2:
            return
        host, port = str(address[0]), int(address[1])
        if port == self._own_port:
            return
        if self._armed:
            self.peers.append((host, port))
            self._count()
        _refuse_outside(host)

    def _opens(self, path: object, mode: object, flags: object) -> None:
        if isinstance(path, str | bytes | os.PathLike) and int(flags or 0) & WRITING:  # type: ignore[call-overload]
            self._changes("open", os.fsdecode(path))

    def _changes(self, event: str, path: str) -> None:
        if event in ("open", "os.mkdir") and Path(path).is_dir():
            return  # it was there, or is where an unnamed file (O_TMPFILE) is opened
        if not path.startswith(UNWATCHED) and "__pycache__" not in path:
            self.written.append(str(Path(path).absolute()))
            if len(self.places) < MOST_PLACES:
                self.places.setdefault(self.written[-1], _frames())
            self._count()

    def _count(self) -> None:
        self._events += 1
        if self._events == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def _frames() -> list[tuple[str, int]]:
    """The lines that this thread has come through, outermost first."""
    found: list[tuple[str, int]] = []
    frame = inspect.currentframe()
    while frame is not None and len(found) < MOST_FRAMES:
        found.append((frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return found[::-1]


def _refuse_outside(host: object) -> None:
    name = host.decode() if isinstance(host, bytes) else str(host)
    if host is not None and not name.startswith(LOCAL):
        raise ConnectionRefusedError(f"the conformance kit lets no connection out, to {name}")


class Warned:
    """Collects ResourceWarnings and what is raised where no caller can catch it."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        warnings.simplefilter("always", ResourceWarning)
        warnings.showwarning = self._shown
        sys.unraisablehook = self._unraisable

    def _shown(self, message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        if issubclass(category, ResourceWarning):
            self.texts.append(f"ResourceWarning: {message}")

    def _unraisable(self, raised: Any) -> None:
        self.texts.append(f"{type(raised.exc_value).__name__}: {raised.exc_value}")


def open_sockets(own_port: int) -> list[str]:
    """The TCP peers of this process's open sockets, as `host:port`, without those of Redis."""
    peers = _peers()
    found = []
    for inode in _socket_inodes():
        peer = peers.get(inode)
        if peer is not None and peer[1] not in (0, own_port):
            found.append(f"{peer[0]}:{peer[1]}")
    return sorted(found)


def _socket_inodes() -> Iterator[str]:
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            target = str(entry.readlink())
            if target.startswith("socket:["):
                yield target[8:-1]


def _peers() -> dict[str, tuple[str, int]]:
    """The remote address of each TCP socket, by inode."""
    found = {}
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path("/proc/self/net", table).read_text().splitlines()[1:]:
                parts = line.split()
                host, _, port = parts[2].partition(":")
                found[parts[9]] = (_host(host), int(port, 16))
    return found


def _host(digits: str) -> str:
    if len(digits) != 8:
        return "::"
    return ".".join(str(each) for each in reversed(bytes.fromhex(digits)))


def threads() -> list[str]:
    """The names of the live threads that a plugin or its library has started."""
    ours = ("MainThread", "plugin_", "asyncio_", "conformance", "redis ")
    return sorted(each.name for each in threading.enumerate() if not each.name.startswith(ours))


def settings() -> dict[str, str]:
    """What a plugin may change for all others in its process, by name."""
    mask = os.umask(0)
    os.umask(mask)
    handlers = {f"the handler of {each.name}": str(signal.getsignal(each)) for each in STOPPING}
    folder = str(Path("/proc/self/cwd").readlink())
    return {
        "the folder": folder,
        "umask": oct(mask),
        "locale": locale.setlocale(locale.LC_ALL),
    } | handlers


def trim_output(most: int) -> None:
    """Forget what this process has printed into its file after so many bytes."""
    with contextlib.suppress(OSError):  # it may have closed its output, or put another in its place
        if os.fstat(1).st_size > most:
            os.ftruncate(1, most)


def blocks() -> int:
    """Allocated blocks of memory after a collection."""
    gc.collect()
    return sys.getallocatedblocks()


def resident() -> int:
    """Bytes of memory that this process has in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def frames_of(error: BaseException) -> list[tuple[str, int]]:
    """The file and line of each frame of an error and its causes, outermost first."""
    found: list[tuple[str, int]] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        steps = traceback.extract_tb(current.__traceback__)
        found = [(step.filename, step.lineno or 0) for step in steps] + found
        current = current.__cause__ or current.__context__
    return found
