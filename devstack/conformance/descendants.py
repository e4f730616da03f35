"""The processes that a plugin has started: they end with its own process, and are counted."""

import contextlib
import ctypes
import os
import select
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
"""prctl(2): processes whose parent has ended become children of this one."""

END_SECONDS = 5.0
"""How long a killed process may take to end."""


def keep_below() -> None:
    """Let all processes that are started from here on be found below this one, or in its session.

    A process in a session of its own is lost if this process has ended before it is looked for.
    """
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def below(pid: int) -> list[int]:
    """The processes below a process, and the others of its session; those that have ended, too."""
    parents, found = {each: (parent, session) for each, parent, session in _all()}, {pid}
    grown = True
    while grown:
        more = {each for each, about in parents.items() if found & set(about)} - found
        grown = bool(more)
        found |= more
    return sorted(found - {pid})


def named(pids: Iterable[int]) -> dict[int, str]:
    """Processes as `name (pid)`, for people."""
    return {each: f"{_name(each)} ({each})" for each in pids}


def outliving(pids: Iterable[int], seconds: float) -> list[int]:
    """Those of these processes that do not end within these seconds."""
    left, until = [], time.monotonic() + seconds
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            process = os.pidfd_open(pid)
            ended, _, _ = select.select([process], [], [], max(0.0, until - time.monotonic()))
            os.close(process)
            left += [] if ended else [pid]
    return left


def kill(pids: Iterable[int]) -> None:
    """Kill processes that may have ended, and wait for the end of each."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            process = os.pidfd_open(pid)
            try:
                signal.pidfd_send_signal(process, signal.SIGKILL)
                select.select([process], [], [], END_SECONDS)
            finally:
                os.close(process)


def _all() -> Iterator[tuple[int, int, int]]:
    """Process, parent and session of each process."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                yield int(entry.name), int(fields[1]), int(fields[3])


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    return "?"
