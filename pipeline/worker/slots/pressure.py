"""Fewer sync runs at once while they compete for the interpreter's lock.

Threads let runs that wait do so side by side. Runs that compute gain nothing: one thread has the
lock at a time, so 32 of them take 32 times as long each, and so does a run of another list beside
them. So with `auto` sync chains begin with a few slots. Each look takes the CPU time of the threads
of this process since the last one. Below `IDLE` of a core the slots are doubled, if all are used;
from `BUSY` on they are halved.

Time in which a thread could run but has no core counts as well: so other processes on the machine
do not make a busy process look idle. Linux reports it for each thread.
"""

import time
from pathlib import Path

LOOK_SECONDS = 0.25
"""Seconds between two looks."""
FIRST = 2
"""The slots at the beginning."""
BUSY, IDLE = 0.9, 0.75
"""The shares of a core from which on there are fewer slots, and below which there are more."""
_TASKS = Path("/proc/self/task")


def adapted(slots: int, used: int, most: int, busy: float) -> int:
    """The slots from now on, of which `used` are used now.

    `busy`: the share of one core that the threads used or waited for.
    """
    if busy >= BUSY:
        return max(slots // 2, 1)
    if busy < IDLE and used >= slots:
        return min(2 * slots, most)
    return slots


class Pressure:
    """Measures how much of a core the threads of this process use or wait for."""

    def __init__(self) -> None:
        """The first measurement is since now."""
        self._wanted, self._at = _wanted(), time.monotonic()

    def busy(self) -> float:
        """The share of one core since the last call."""
        wanted, at = _wanted(), time.monotonic()
        more = sum(spent - self._wanted.get(task, 0.0) for task, spent in wanted.items())
        seconds = at - self._at
        self._wanted, self._at = wanted, at
        return more / seconds if seconds > 0 else 0.0


def _wanted() -> dict[str, float]:
    """Seconds that each thread has run, or has waited for a core."""
    found = {}
    try:
        tasks = [*_TASKS.iterdir()]
    except FileNotFoundError:  # no Linux
        return {"": time.process_time()}
    for task in tasks:
        try:
            ran, waited, _ = (task / "schedstat").read_text().split()
        except (OSError, ValueError):  # the thread has ended
            continue
        found[task.name] = (int(ran) + int(waited)) / 1e9
    return found or {"": time.process_time()}
