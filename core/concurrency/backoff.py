"""Exponential backoff."""

from collections.abc import Callable
from dataclasses import dataclass

SHORTER = -0.5
"""A `spread`: jitter makes waits up to half shorter."""
LONGER = 0.25
"""A `spread`: jitter makes waits up to a quarter longer."""
_MOST_DOUBLINGS = 100  # so that no number of attempts overflows a float


def no_jitter() -> float:
    """A `jitter` that changes no wait."""
    return 0.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits in seconds: `first`, then twice as long each time, at most `cap`.

    `jitter` returns 0..1 (such as `random.random`), so that many clients that failed together do
    not try again together. `spread` is the share of a wait that a jitter of 1 adds, or takes away
    if negative; no wait is longer than `cap`.
    """

    first: float = 1.0
    cap: float = 30.0
    jitter: Callable[[], float] = no_jitter
    spread: float = SHORTER

    def __post_init__(self) -> None:
        if not 0 < self.first <= self.cap:
            raise ValueError("a backoff needs 0 < first <= cap")

    def wait(self, attempt: int) -> float:
        """Seconds to wait after failed attempt number `attempt`, counted from 0."""
        full = min(self.cap, self.first * 2.0 ** min(attempt, _MOST_DOUBLINGS))
        jitter = min(max(self.jitter(), 0.0), 1.0)
        return min(self.cap, full * (1 + self.spread * jitter))
