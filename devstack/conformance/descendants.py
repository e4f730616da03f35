"""The processes that a plugin has started: they end with its own process, and are counted."""

import contextlib
import ctypes
import os
import select
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

PR_SET_CHILD_SUBREAPER = 36
"""prctl(2): processes whose parent has ended become children of this one."""

END_SECONDS = 5.0
"""How long a killed process may take to end."""


class Process(NamedTuple):
    """A process. `began`: clock ticks since the machine's start, by which a new one differs.

    Its number may be given to a process of another program once it has ended.
    """

    pid: int
    began: int


def keep_below() -> None:
    """Let all processes that are started from here on be found below this one, or in its session.

    A process in a session of its own is lost if this process has ended before it is looked for.
    """
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def process_of(pid: int) -> Process | None:
    """The process with this number; None if there is none."""
    seen = _seen(pid)
    return None if seen is None else seen.process


def below(root: Process | None) -> list[Process]:
    """The processes below a process, and the others of its session; those that have ended, too.

    None if `root` has ended, is waited for, and its number is given to another one: the number is
    in use as long as a process is in its session.
    """
    about = {each.process.pid: each for each in _all()}
    if root is None or about.get(root.pid, _Seen(root, 0, 0)).process != root:
        return []
    found, grown = {root.pid}, True
    while grown:
        more = {pid for pid, seen in about.items() if found & {seen.parent, seen.session}}
        grown = not more <= found
        found |= more
    return sorted(about[pid].process for pid in found - {root.pid})


def named(processes: Iterable[Process]) -> dict[Process, str]:
    """Processes as `name (pid)`, for people."""
    return {each: f"{_name(each.pid)} ({each.pid})" for each in processes}


def outliving(processes: Iterable[Process], seconds: float) -> list[Process]:
    """Those of these processes that do not end within these seconds."""
    left, until = [], time.monotonic() + seconds
    for each in processes:
        with _opened(each) as process:
            if process is not None and not _ends(process, max(0.0, until - time.monotonic())):
                left.append(each)
    return left


def kill(processes: Iterable[Process]) -> None:
    """Kill processes that may have ended, and wait for the end of each."""
    for each in processes:
        with _opened(each) as process:
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(process, signal.SIGKILL)
                _ends(process, END_SECONDS)


@contextlib.contextmanager
def _opened(wanted: Process) -> Iterator[int | None]:
    """A file descriptor of a process; None if it is gone."""
    try:
        process = os.pidfd_open(wanted.pid)
    except ProcessLookupError:
        yield None
        return
    try:
        seen = _seen(wanted.pid)
        yield process if seen is not None and seen.process == wanted else None
    finally:
        os.close(process)


def _ends(process: int, seconds: float) -> bool:
    return bool(select.select([process], [], [], seconds)[0])


class _Seen(NamedTuple):
    process: Process
    parent: int
    session: int


def _all() -> Iterator[_Seen]:
    found = (_seen(int(each.name)) for each in Path("/proc").iterdir() if each.name.isdigit())
    return (each for each in found if each is not None)


def _seen(pid: int) -> _Seen | None:
    """What proc_pid_stat(5) says of a process; None if there is none."""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        fields = text.rpartition(")")[2].split()
        return _Seen(Process(pid, int(fields[19])), int(fields[1]), int(fields[3]))
    return None


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    return "?"
