"""Everything this service counts: what the metrics are called, and how they are fed.

Count where it happens: `EXPIRED.inc()`. Every label takes its values from the configuration or from
a list in this file, never from a caller, so the number of series is known. Finding a series by its
labels costs more than counting in it: keep the child (`DROPPED.labels("expired")`), not the parent.

One answer may cost a microsecond at most, so requests are counted in plain integers, on the event
loop alone; `docs/metrics.md` names every metric.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the buckets of every request's time."""
LONG_SECONDS = (0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""The same for what a guest does, which may take minutes."""
UNKNOWN = "unknown"
"""The label of whatever has a name that this service does not know."""

REGISTRY = CollectorRegistry()
"""What this process has counted."""


class Requests(Collector):
    """Answers by action and code, and how long they took."""

    def __init__(self) -> None:
        """Knows no action yet."""
        self._actions: set[str] = set()
        self._times: dict[tuple[object, int], _Times] = {}

    def offer(self, actions: Iterable[str]) -> None:
        """These actions get a label of their own."""
        self._actions.update(actions)

    def answered(self, action: object, code: int, seconds: float) -> None:
        """Count one answer; `action` is whatever the request said. Call on the event loop."""
        try:
            times = self._times[action, code]
        except (KeyError, TypeError):  # the first of its kind, or a name that is no text
            times = self._of(action, code)
        times.counts[bisect_left(SECONDS, seconds)] += 1
        times.total += seconds

    def _of(self, action: object, code: int) -> "_Times":
        known = isinstance(action, str) and action in self._actions
        code = code if 100 <= code < 600 else 0
        return self._times.setdefault((action if known else UNKNOWN, code), _Times())

    def collect(self) -> Iterator[Metric]:
        """Both families as they are now."""
        answers = CounterMetricFamily(
            "patchcord_requests", "Requests answered.", labels=("action", "code")
        )
        by_action: dict[str, _Times] = {}
        for (action, code), times in self._times.copy().items():
            answers.add_metric((str(action), str(code)), sum(times.counts))
            by_action.setdefault(str(action), _Times()).add(times)
        yield answers
        yield self._seconds(by_action)

    @staticmethod
    def _seconds(by_action: Mapping[str, "_Times"]) -> Metric:
        family = HistogramMetricFamily(
            "patchcord_request_seconds", "From receipt to the answer.", labels=("action",)
        )
        bounds = (*map(str, SECONDS), "+Inf")
        for action, times in by_action.items():
            running = accumulate(times.counts)
            buckets = [(bound, float(n)) for bound, n in zip(bounds, running, strict=True)]
            family.add_metric((action,), buckets, times.total)
        return family


class _Times:
    """How many answers there were in each bucket, and the sum of their seconds."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(SECONDS) + 1)
        self.total = 0.0

    def add(self, other: "_Times") -> None:
        """What was counted elsewhere, too."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.total += other.total


REQUESTS = Requests()
REGISTRY.register(REQUESTS)


def _counter(name: str, what: str, *labels: str) -> Counter:
    return Counter(f"patchcord_{name}", what, labels, registry=REGISTRY)


def _gauge(name: str, what: str, *labels: str) -> Gauge:
    return Gauge(f"patchcord_{name}", what, labels, registry=REGISTRY, multiprocess_mode="livesum")


def _histogram(name: str, what: str, *labels: str) -> Histogram:
    return Histogram(f"patchcord_{name}", what, labels, registry=REGISTRY, buckets=LONG_SECONDS)


# Requests

IN_FLIGHT = _gauge("requests_in_flight", "Requests that an action works on.")
WAITING = _gauge("requests_waiting", "Requests that wait for room.")
STUCK_THREADS = _gauge(
    "stuck_threads", "Threads of blocking actions that outlived their deadline and still run."
)

DROPPED = _counter("dropped", "Requests and answers dropped unsent.", "reason")
EXPIRED = DROPPED.labels("expired")
"""Requests that waited until the Plugboard had given them up; they were not run."""
DUPLICATE_REFS = DROPPED.labels("duplicate_ref")
"""Requests whose ref was taken on already."""
WITHOUT_REF = DROPPED.labels("no_ref")
"""Requests that nobody could be answered to."""
LATE_ANSWERS = DROPPED.labels("late_answer")
"""Answers kept over a reconnect until nobody waited for them any more."""

REFUSED = _counter("requests_refused", "Requests answered with 503 without being run.", "reason")
REFUSED_FULL = REFUSED.labels("full")
"""Too many waited already."""
REFUSED_STOPPING = REFUSED.labels("stopping")
"""This replica is leaving."""

# Processes

WORKERS = _gauge("workers", "Worker processes that run.")
WORKER_DEATHS = _counter("worker_deaths", "Worker processes that ended unasked.")

# The Plugboard

JOINED = _gauge("joined", "1 while requests can come in.")
RECONNECTS = _counter("reconnects", "Connections to the Plugboard tried after the first.")
HEARTBEATS_MISSED = _counter("heartbeats_missed", "Heartbeats the Plugboard did not answer.")
JOINS_REFUSED = _counter("joins_refused", "Joins the Plugboard refused.")
CONNECTIONS_REFUSED = _counter("connections_refused", "Connections it refused with 403.")
