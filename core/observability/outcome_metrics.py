"""Counting how often things end how, and how long they take, at the price of an addition.

`prometheus_client`'s own counters and histograms lock, check and, in several processes, write to
files: 1 to 4 us each. What happens thousands of times a second is counted here in plain integers
instead, and made into families of the library when somebody asks.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector


class Durations:
    """How many took how long: one count for each bucket, and the sum of all seconds."""

    __slots__ = ("counts", "total")

    def __init__(self, bounds: int) -> None:
        """None so far; `bounds` is how many there are, and there is a bucket above the last."""
        self.counts = [0] * (bounds + 1)
        self.total = 0.0

    def add(self, other: "Durations") -> None:
        """What was counted elsewhere, too."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.total += other.total


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
    ) -> None:
        """`what` describes the two; `subject` and `outcome` are the labels' names."""
        self._name, self._what = name, what
        self._subject, self._outcome = subject, outcome
        self._bounds = bounds
        self._times: dict[tuple[*Subject, object], Durations] = {}

    def ended(self, key: tuple[*Subject, object], seconds: float) -> None:
        """One more; the key is the subject's labels and the outcome. Call from one thread only."""
        try:
            times = self._times[key]
        except (KeyError, TypeError):  # the first of its kind, or something that is no label
            times = self._times.setdefault(self.bounded(key), Durations(len(self._bounds)))
        times.counts[bisect_left(self._bounds, seconds)] += 1
        times.total += seconds

    def bounded(self, key: tuple[*Subject, object]) -> tuple[*Subject, object]:
        """The labels to count a key under that has not been counted yet: itself, if it may be."""
        return key

    def collect(self) -> Iterator[Metric]:
        """Both families as they are now."""
        counted = CounterMetricFamily(
            f"{self._name}s", self._what[0], labels=(*self._subject, self._outcome)
        )
        by_subject: dict[tuple[str, ...], Durations] = {}
        for key, times in self._times.copy().items():
            labels = tuple(map(str, key))
            counted.add_metric(labels, sum(times.counts))
            by_subject.setdefault(labels[:-1], Durations(len(self._bounds))).add(times)
        yield counted
        yield self._seconds(by_subject.items())

    def _seconds(self, by_subject: Iterable[tuple[tuple[str, ...], Durations]]) -> Metric:
        family = HistogramMetricFamily(f"{self._name}_seconds", self._what[1], labels=self._subject)
        bounds = (*map(str, self._bounds), "+Inf")
        for labels, times in by_subject:
            running = map(float, accumulate(times.counts))
            family.add_metric(labels, list(zip(bounds, running, strict=True)), times.total)
        return family


class Tally(Collector):
    """A counter whose series are found by their labels for next to nothing."""

    def __init__(self, name: str, what: str, *labels: str) -> None:
        """Nothing is counted yet."""
        self._name, self._what, self._labels = name, what, labels
        self._counts: dict[tuple[str, ...], int] = {}

    def count(self, *labels: str) -> None:
        """One more. Call from one thread only."""
        self._counts[labels] = self._counts.get(labels, 0) + 1

    def collect(self) -> Iterator[Metric]:
        """The family as it is now."""
        family = CounterMetricFamily(self._name, self._what, labels=self._labels)
        for labels, count in self._counts.copy().items():
            family.add_metric(labels, count)
        yield family
