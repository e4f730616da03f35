"""Wrong ingress keys: counted, and beyond a limit answered without asking Postgres.

The Plugboard does not say who calls. The nearest to a caller is the list that a request names, so
wrong keys are counted by list. Lists that do not exist count alike, in the same number of places:
otherwise the limit would tell which lists there are.
"""

import math
from collections.abc import Callable
from zlib import crc32

from core.errors import RateLimitedError
from core.metrics import FAILED_KEYS

WINDOW = 60.0
PLACES = 1024
"""Lists are counted in so many places; two that share one share the limit."""


class FailedKeys:
    """The wrong keys of the present minute."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        """`most` for one list in a minute; 0 for any number."""
        self._most = most
        self._clock = clock
        self._began = clock()
        self._counts = [0] * PLACES

    def admit(self, ingress_list: str | None) -> None:
        """Let a key be looked up that was not found valid lately.

        Raises:
            RateLimitedError: with the seconds to wait.
        """
        now = self._clock()
        if now - self._began >= WINDOW:
            self._began, self._counts = now, [0] * PLACES
        if self._most and self._counts[_place(ingress_list)] >= self._most:
            FAILED_KEYS.labels("throttled").inc()
            seconds = math.ceil(self._began + WINDOW - now)
            raise RateLimitedError(f"too many wrong keys; try again in {seconds} s")

    def count(self, ingress_list: str | None) -> None:
        """A key was wrong for this list."""
        FAILED_KEYS.labels("refused").inc()
        self._counts[_place(ingress_list)] += 1


def _place(ingress_list: str | None) -> int:
    return crc32((ingress_list or "").encode("utf-8", "replace")) % PLACES
