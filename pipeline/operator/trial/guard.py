"""Refusing what a pure link does not do: connections, writing files, starting processes.

`sys.addaudithook` is called by the interpreter before each of these. A hook cannot be removed, so
it is installed only in the process of a trial. It finds links that declare `pure` by mistake; code
that wants to avoid it can, as in any process: a library written in C, or `ctypes`.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pipeline.redis_client.client import CommandRefused

type Level = Literal["off", "loading", "running"]

ROOT = Path(__file__).parents[3]
MOST_TOLD = 20
"""Refusals that are kept."""
REFUSED = "refused in a trial"
"""The beginning of every refusal's text."""
LONGEST_TOLD = 200
"""Characters of one of them."""

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_NETWORK = frozenset(
    {
        *("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"),
        *("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"),
    }
)
_PROCESSES = frozenset(
    {
        *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty"),
        *("os.spawn", "os.kill", "os.killpg", "pty.spawn"),
    }
)
_FILES = frozenset(
    {
        *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink"),
        *("os.truncate", "os.chmod", "os.chown", "os.utime", "os.setxattr", "os.removexattr"),
    }
)


class RefusedInTrialError(CommandRefused):
    """A link did what it must not do in a trial."""


class Refusals:
    """What was refused since the last `take`."""

    def __init__(self) -> None:
        self._told: list[str] = []

    def refuse(self, what: str) -> RefusedInTrialError:
        """Note a refusal; the error is to be raised. A link may catch it: the note stays."""
        if len(self._told) < MOST_TOLD:
            self._told.append(what[:LONGEST_TOLD])
        return RefusedInTrialError(f"{REFUSED}: {what[:LONGEST_TOLD]}")

    def take(self) -> list[str]:
        """The refusals since the last call, each once."""
        told, self._told = self._told, []
        return list(dict.fromkeys(told))


class Guard:
    """An audit hook; `level` says what it refuses."""

    def __init__(self, refusals: Refusals) -> None:
        self.level: Level = "off"
        self._refusals = refusals

    def install(self, add: Callable[[Callable[[str, Any], None]], None] = sys.addaudithook) -> None:
        """Install the hook in this process, for good."""
        add(self.hear)

    def hear(self, event: str, args: tuple[Any, ...]) -> None:
        """Take one event of the interpreter.

        Raises:
            RefusedInTrialError: a pure link does not do that.
        """
        if self.level == "off":
            return
        what = _named(event, args, is_running=self.level == "running")
        if what is not None:
            raise self._refusals.refuse(what)


def _named(event: str, args: tuple[Any, ...], *, is_running: bool) -> str | None:
    """What an event does that is refused; a module may start processes while it is imported."""
    if event in _NETWORK:
        return f"the network ({event} {_place(args)})".replace(" )", ")")
    if is_running and event in _PROCESSES and not _is_own_helper(event, args):
        return f"another process ({event})"
    if is_running and _writes(event, args):
        return f"writing files ({event} {args[0]!r})"
    return None


def _place(args: tuple[Any, ...]) -> str:
    """The address among the arguments of a socket event, without what may be a message."""
    shown = [each for each in args if isinstance(each, str | tuple)]
    return str(shown[0])[:80] if shown else ""


def _writes(event: str, args: tuple[Any, ...]) -> bool:
    """Whether it changes files. A descriptor is open already; SQLite may work in memory."""
    if event == "sqlite3.connect":
        return bool(args[0] != ":memory:")
    if event != "open":
        return event in _FILES
    path, _, flags = args
    if isinstance(path, int) or path in (os.devnull, os.devnull.encode()):
        return False
    return isinstance(flags, int) and bool(flags & _WRITES)


def _is_own_helper(event: str, args: tuple[Any, ...]) -> bool:
    """Whether it starts a file of `lib` with this interpreter, as the link for jq does."""
    if event != "subprocess.Popen" or not isinstance(args[1], list | tuple) or len(args[1]) != 3:
        return False
    command = [os.fspath(each) for each in args[1]]
    own = command[:2] == [sys.executable, "-I"]
    return own and Path(command[2]).is_relative_to(ROOT / "lib")
