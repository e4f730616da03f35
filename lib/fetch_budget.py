"""How much one link may fetch for one vCon: requests, bytes and seconds.

A vCon may have tens of thousands of dialogs, each with a URL whose server answers just before its
time is over. Each fetch is limited for itself; these limits hold for all of them together. Seconds
are also counted for each host, so that a host that never answers costs its share once and not once
for each dialog.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from lib import limits
from pipeline.step_scope import kept


class BudgetSpentError(RuntimeError):
    """One link has fetched as much for one vCon as it may."""


class Budget:
    """What is left for one call of a plugin. Threads may share it."""

    def __init__(self) -> None:
        self.limits = limits.current()
        self.requests = 0
        self.bytes = 0
        self.seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def request(self, host: str) -> Iterator[float]:
        """Count a request and its time; gives the seconds that it may take.

        Raises:
            BudgetSpentError: when no request or no second is left.
        """
        left = self._begin(host)
        began = time.monotonic()
        try:
            yield left
        finally:
            with self._lock:
                spent = time.monotonic() - began
                self.seconds[host] = self.seconds.get(host, 0.0) + spent

    def _begin(self, host: str) -> float:
        with self._lock:
            if self.requests >= self.limits.fetch_requests:
                raise BudgetSpentError(
                    f"more than {self.limits.fetch_requests} requests for one vCon"
                )
            self.requests += 1
            left = self.limits.fetch_seconds - sum(self.seconds.values())
            if left <= 0:
                raise BudgetSpentError(f"more than {self.limits.fetch_seconds:g} s for one vCon")
            here = self.limits.fetch_host_seconds - self.seconds.get(host, 0.0)
            if here <= 0:
                raise BudgetSpentError(
                    f"more than {self.limits.fetch_host_seconds:g} s of one host"
                )
            return min(left, here)

    def read(self, count: int) -> None:
        """Count bytes that have come. Raises BudgetSpentError."""
        with self._lock:
            self.bytes += count
            if self.bytes > self.limits.fetch_bytes:
                raise BudgetSpentError(f"more than {self.limits.fetch_bytes} bytes for one vCon")


def current() -> Budget:
    """The budget of the call of a plugin that this code belongs to; a fresh one outside."""
    return kept(Budget)
