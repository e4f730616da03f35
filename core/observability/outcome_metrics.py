"""Counters and histograms for events with thousands of occurrences a second.

Those of `prometheus_client` lock, check and, in several processes, write to files: 1 to 4 us each.
These add to plain integers, which become families of the library when they are collected.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector


class Durations:
    """A histogram: one count for each bucket, and the sum of all seconds."""

    __slots__ = ("counts", "total")

    def __init__(self, bounds: int) -> None:
        """`bounds` is the number of upper bounds; one more bucket lies above the last."""
        self.counts = [0] * (bounds + 1)
        self.total = 0.0

    def add(self, other: "Durations") -> None:
        """Add the counts of another histogram with the same bounds."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.total += other.total

    def copy(self) -> "Durations":
        """The same counts, which no longer change."""
        copied = Durations(len(self.counts) - 1)
        copied.counts, copied.total = self.counts.copy(), self.total
        return copied


class Outcomes[*Subject](Collector):
    """Two families: `{name}s` counted by subject and outcome, and `{name}_seconds` by subject."""

    def __init__(
        self,
        name: str,
        what: tuple[str, str],
        *,
        subject: tuple[str, ...],
        outcome: str,
        bounds: tuple[float, ...],
        fine: tuple[float, ...] | None = None,
    ) -> None:
        """`what` has the descriptions of both; `subject` and `outcome` are names of labels.

        `durations` has the bounds `fine` where given, which include all of `bounds`.
        """
        self._name, self._what = name, what
        self._subject, self._outcome = subject, outcome
        self._bounds = bounds
        self.fine = fine or bounds
        self._times: dict[tuple[*Subject, object], Durations] = {}

    def ended(self, key: tuple[*Subject, object], seconds: float) -> None:
        """Count one; the key is the labels of the subject and the outcome. From one thread only."""
        try:
            times = self._times[key]
        except (KeyError, TypeError):  # a new key, or one that is not hashable
            times = self._times.setdefault(self.bounded(key), Durations(len(self.fine)))
        times.counts[bisect_left(self.fine, seconds)] += 1
        times.total += seconds

    @property
    def durations(self) -> Mapping[tuple[*Subject, object], Durations]:
        """What has been counted, by subject and outcome; to be read on the event loop only."""
        return self._times

    def bounded(self, key: tuple[*Subject, object]) -> tuple[*Subject, object]:
        """The labels for a new key; a subclass maps keys without a series of their own."""
        return key

    def collect(self) -> Iterator[Metric]:
        """Both families."""
        counted = CounterMetricFamily(
            f"{self._name}s", self._what[0], labels=(*self._subject, self._outcome)
        )
        by_subject: dict[tuple[str, ...], Durations] = {}
        for key, times in self._times.copy().items():
            labels = tuple(map(str, key))
            counted.add_metric(labels, sum(times.counts))
            by_subject.setdefault(labels[:-1], Durations(len(self.fine))).add(times)
        yield counted
        yield self._seconds(by_subject.items())

    def _seconds(self, by_subject: Iterable[tuple[tuple[str, ...], Durations]]) -> Metric:
        family = HistogramMetricFamily(f"{self._name}_seconds", self._what[1], labels=self._subject)
        for labels, times in by_subject:
            running = dict(zip((*self.fine, math.inf), accumulate(times.counts), strict=True))
            buckets = [(str(bound), float(running[bound])) for bound in self._bounds]
            buckets.append(("+Inf", float(running[math.inf])))
            family.add_metric(labels, buckets, times.total)
        return family


class Tally(Collector):
    """A counter with a cheap look-up of its series by their labels."""

    def __init__(self, name: str, what: str, *labels: str) -> None:
        """`labels` are the names of the labels."""
        self._name, self._what, self._labels = name, what, labels
        self._counts: dict[tuple[str, ...], int] = {}

    def count(self, *labels: str) -> None:
        """Count one, from one thread only."""
        self._counts[labels] = self._counts.get(labels, 0) + 1

    def collect(self) -> Iterator[Metric]:
        """The family."""
        family = CounterMetricFamily(self._name, self._what, labels=self._labels)
        for labels, count in self._counts.copy().items():
            family.add_metric(labels, count)
        yield family
