"""When a process is started for suspects: vCons that were in flight when a worker died.

A suspect runs in a process of its own, so that its death charges it alone and holds up nothing
else. Such suspect workers are started while suspects wait, and end by themselves when none is left.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Suspects:
    """`waiting` counts the suspects that no process has claimed yet.

    `patience`: seconds without any of them being claimed until one more process is started, up to
    `most` processes.
    """

    waiting: Callable[[], Awaitable[int]]
    patience: float
    most: int


class Recruiting:
    """Decides, look by look, whether one more suspect worker is started."""

    def __init__(self, patience: float, most: int) -> None:
        """See `Suspects`."""
        self._patience = patience
        self._most = most
        self._waiting = 0
        self._moved = 0.0
        self._at_once = True

    def needs_one(self, waiting: int, running: int, now: float) -> bool:
        """Whether to start one; the caller does, and says so in `running` from then on."""
        if waiting < self._waiting or not self._waiting:
            self._moved, self._at_once = now, True
        self._waiting = waiting
        if not waiting or running >= self._most:
            return False
        is_first = not running and self._at_once
        if not is_first and now - self._moved < self._patience:
            return False
        self._moved, self._at_once = now, False
        return True

    def died(self) -> None:
        """One has died: the next may be started at once.

        One that ended by itself, though suspects wait, could claim none of them: an unusable key in
        Redis keeps them. The next one is not started before `patience` is over.
        """
        self._at_once = True
