"""Processor time of processes, from `/proc`."""

from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """CPU time of a process's current threads, in nanosecond resolution."""
    stats = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(stat.read_text().split()[0]) for stat in stats) / 1e9


def children(pid: int) -> list[int]:
    """The child processes of a process."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
