"""Waits between attempts that may have to go on for ever."""

import math
from collections.abc import Callable
from dataclasses import dataclass


def full_wait() -> float:
    """No jitter: every wait is as long as it may be."""
    return 0.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits in seconds: `first`, then twice as long each time, never over `cap`.

    `jitter` returns 0..1 (`random.random` fits) and only ever shortens, by at most half: many
    clients thrown out together must not come back together, and none may come back too late.
    """

    first: float = 1.0
    cap: float = 30.0
    jitter: Callable[[], float] = full_wait

    def __post_init__(self) -> None:
        if not 0 < self.first <= self.cap:
            raise ValueError("a backoff needs 0 < first <= cap")

    def wait(self, attempt: int) -> float:
        """Seconds to wait before try number `attempt` + 1; `attempt` counts from 0."""
        full = min(self.cap, math.ldexp(self.first, min(attempt, 64)))
        return full * (1 - min(max(self.jitter(), 0.0), 1.0) / 2)
