"""Processor time and memory of processes, from `/proc`."""

import os
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Self


def cpu_seconds(pid: int) -> float:
    """CPU time of a process's current threads, in nanosecond resolution."""
    return sum(map(_nanoseconds, Path(f"/proc/{pid}/task").glob("*/schedstat"))) / 1e9


def _nanoseconds(schedstat: Path) -> int:
    try:
        return int(schedstat.read_text().split()[0])
    except FileNotFoundError:  # the thread has ended
        return 0


def children(pid: int) -> list[int]:
    """The child processes of a process."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def whole_cpu_seconds(pid: int) -> float:
    """CPU time of a process with its ended threads, and of its children that run; 10 ms steps."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(words[11]) + int(words[12])
    return ticks / os.sysconf("SC_CLK_TCK") + sum(map(whole_cpu_seconds, children(pid)))


def wakes(pid: int) -> int:
    """How often the current threads of a process have slept until now."""
    return sum(map(_voluntary, Path(f"/proc/{pid}/task").glob("*/status")))


def _voluntary(status: Path) -> int:
    try:
        lines = status.read_text().splitlines()
    except FileNotFoundError:  # the thread has ended
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt"))


def proportional_bytes(pid: int) -> int:
    """Memory of a process, of which shared pages count in equal parts (PSS)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


class Memory:
    """Looks at a process's memory four times a second, from `watch` to the end of the block."""

    EVERY = 0.25

    def __init__(self) -> None:
        self._ended = Event()
        self._thread: Thread | None = None
        self.grown = 0
        """Bytes between the first look and the largest."""

    def watch(self, pid: int) -> None:
        """Begin with this process."""
        self._thread = Thread(target=self._look, args=(pid, proportional_bytes(pid)))
        self._thread.start()

    def _look(self, pid: int, first: int) -> None:
        with suppress(OSError):  # it has ended
            while not self._ended.wait(self.EVERY):
                self.grown = max(self.grown, proportional_bytes(pid) - first)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread:
            self._thread.join()


def ended_too(pid: int) -> float:
    """CPU time of a process, with that of its children that have ended; 10 ms steps."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")


def with_children(pid: int) -> float:
    """CPU time of a process and of all its children, those that have ended included."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ended = sum(map(int, words[13:15])) / os.sysconf("SC_CLK_TCK")
    return ended + sum(map(cpu_seconds, [pid, *children(pid)]))
