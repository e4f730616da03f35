"""When to connect again, and what of it is worth a line in the log."""

from core.backoff import Backoff
from core.connection_loss import Loss, LossKind

HEALTHY_AFTER = 60.0
"""Seconds of being joined after which the next pause is the shortest again."""
REFUSED_AGAIN = 15.0
"""Longest pause after a refusal, in seconds: what was refused may be allowed any moment."""


class Reconnection:
    """Counts what went wrong since the last healthy connection."""

    def __init__(self, backoff: Backoff) -> None:
        """`backoff` gives the pauses."""
        self._backoff = backoff
        self._failures = 0
        self._joined_at: float | None = None
        self._told: object = None

    def joined(self, now: float) -> None:
        """Requests come in; whatever goes wrong next is news."""
        if self._joined_at is None:
            self._joined_at = now
        self._told = None

    def pause(self, loss: Loss, now: float) -> float:
        """Seconds to wait before the next attempt."""
        if self._joined_at is not None and now - self._joined_at >= HEALTHY_AFTER:
            self._failures = 0
        self._joined_at = None
        pause = self._backoff.wait(self._failures)
        self._failures += 1
        return min(pause, REFUSED_AGAIN) if loss.kind is LossKind.REFUSED else pause

    def is_news(self, told: object) -> bool:
        """Whether the last thing told since the last join was anything else."""
        is_new, self._told = told != self._told, told
        return is_new
