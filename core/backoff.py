"""Exponential backoff."""

import math
from collections.abc import Callable
from dataclasses import dataclass


def full_wait() -> float:
    """A `jitter` that never shortens."""
    return 0.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits in seconds: `first`, then twice as long each time, at most `cap`.

    `jitter` returns 0..1 (such as `random.random`) and shortens a wait by up to half, so that many
    clients that were disconnected together do not reconnect together.
    """

    first: float = 1.0
    cap: float = 30.0
    jitter: Callable[[], float] = full_wait

    def __post_init__(self) -> None:
        if not 0 < self.first <= self.cap:
            raise ValueError("a backoff needs 0 < first <= cap")

    def wait(self, attempt: int) -> float:
        """Seconds to wait after failed attempt number `attempt`, counted from 0."""
        full = min(self.cap, math.ldexp(self.first, min(attempt, 64)))
        return full * (1 - min(max(self.jitter(), 0.0), 1.0) / 2)
