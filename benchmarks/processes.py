"""Processor time of processes, from `/proc`."""

import os
from pathlib import Path


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
