"""Durations of one subject: counts by the upper bounds of buckets, and their quantiles."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from core.observability.metrics import FINE_SECONDS

LOWEST = FINE_SECONDS[0] / 2
"""Seconds at which the first bucket begins, for quantiles in it."""


@dataclass(slots=True)
class Histogram:
    """`buckets` counts by upper bound (not cumulative); `seconds` is the sum of all durations."""

    buckets: dict[float, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def count(self) -> int:
        """The number of durations."""
        return sum(self.buckets.values())

    @property
    def mean(self) -> float | None:
        """The mean duration in seconds; None without any."""
        return self.seconds / count if (count := self.count) else None

    def add(self, other: "Histogram") -> None:
        """Add the counts of another one."""
        for bound, count in other.buckets.items():
            self.buckets[bound] = self.buckets.get(bound, 0) + count
        self.seconds += other.seconds

    def quantile(self, share: float) -> float | None:
        """The duration that this share of all durations does not exceed; None without any.

        Exact to the width of a bucket; in it, durations count as spread evenly by their logarithm.
        Above the last bound it is the last bound.
        """
        wanted, passed = share * self.count, 0
        for bound in sorted(self.buckets):
            count = self.buckets[bound]
            if count and passed + count >= wanted:
                return _between(bound, (wanted - passed) / count)
            passed += count
        return None


def summed(histograms: Iterable[Histogram]) -> Histogram:
    """All of them in one."""
    total = Histogram()
    for each in histograms:
        total.add(each)
    return total


def _between(bound: float, share: float) -> float:
    below = max((each for each in FINE_SECONDS if each < bound), default=LOWEST)
    if math.isinf(bound):
        return below
    return float(below * (bound / below) ** share)
