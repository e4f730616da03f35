"""Metrics of plugins, with the interface of vcon-server: any name and attributes, from any thread.

Plugins written for vcon-server attach arbitrary attributes, such as the uuid of the vCon.
Prometheus keeps a series for each set of label values, so attributes with ids are left out and the
number of series of a metric is limited; further sets of values are counted in one series.
"""

import logging
import math
import re
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from types import SimpleNamespace
from typing import Any, Literal

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from core.observability.storable_text import described, storable_text, text_of

log = logging.getLogger(__name__)

type Attributes = Mapping[str, Any]
type Labels = tuple[tuple[str, str], ...]
type Kind = Literal["counter", "gauge", "histogram"]

MOST_METRICS = 500
"""Most metrics of all plugins together."""
MOST_SERIES = 100
"""Most sets of label values of one metric."""
LONGEST_VALUE = 100
OVERFLOW: Labels = (("overflow", "true"),)
"""The labels of the series for all further sets."""
BOUNDS = (0.005, 0.02, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1e3, 1e4, 1e5)
"""Upper bounds of all histograms: plugins measure seconds, milliseconds and shares."""

_IDENTIFIES = re.compile(r"(^|[._-])(uuid|guid|id|ref)$", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", re.IGNORECASE)
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_]")


class Reading(Metric):
    """A gauge that several processes read from the same source; the largest value counts."""


@dataclass(slots=True)
class _Series:
    name: str
    kind: Kind
    values: dict[Labels, list[float]] = field(default_factory=dict)


class PluginMetrics(Collector):
    """Counters, histograms and gauges that are created by their first use.

    No method raises for a value that cannot be counted: it is logged, and the plugin goes on.
    """

    def __init__(self) -> None:
        """Without metrics."""
        self._metrics: dict[str, _Series] = {}
        self._callbacks: dict[str, tuple[Callable[..., Iterable[Any]], str]] = {}
        self._warned: set[str] = set()
        self._lock = threading.Lock()

    def increment(self, name: str, value: float, attributes: Attributes | None) -> None:
        """Add to a counter."""
        if not 0 <= value < math.inf:
            self._warn_once(name, "a counter takes finite values from 0 up")
            return
        with self._lock:
            if cell := self._cell(name, "counter", attributes, 1):
                cell[0] += value

    def add(self, name: str, value: float, attributes: Attributes | None) -> None:
        """Add to a gauge; the value may be negative."""
        if not math.isfinite(value):
            self._warn_once(name, "a gauge takes finite values")
            return
        with self._lock:
            if cell := self._cell(name, "gauge", attributes, 1):
                cell[0] += value

    def record(self, name: str, value: float, attributes: Attributes | None) -> None:
        """Count one value in a histogram."""
        if not math.isfinite(value):
            self._warn_once(name, "a histogram takes finite values")
            return
        with self._lock:
            if cell := self._cell(name, "histogram", attributes, len(BOUNDS) + 2):
                cell[bisect_left(BOUNDS, value)] += 1
                cell[-1] += value

    def observe(self, name: str, callback: Callable[..., Iterable[Any]], what: str) -> None:
        """Call `callback` at each collection for observations with `value` and `attributes`."""
        self._callbacks[exposed_name(name)] = callback, text_of(what)

    def _cell(
        self, name: str, kind: Kind, attributes: Attributes | None, size: int
    ) -> list[float] | None:
        exposed = exposed_name(name)
        series = self._metrics.get(exposed)
        if series is None:
            if len(self._metrics) >= MOST_METRICS:
                self._warn_once("", f"plugins have {MOST_METRICS} metrics; no more are kept")
                return None
            series = self._metrics[exposed] = _Series(storable_text(name), kind)
        if series.kind != kind:
            self._warn_once(name, f"is a {series.kind} already and cannot be a {kind}, too")
            return None
        labels = labels_of(attributes)
        if labels not in series.values and len(series.values) >= MOST_SERIES:
            labels = OVERFLOW
        return series.values.setdefault(labels, [0.0] * size)

    def _warn_once(self, name: str, what: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            log.warning("plugin metric not counted", extra={"error": f"{name}: {what}"})

    def collect(self) -> Iterator[Metric]:
        """All families, with names that Prometheus accepts."""
        with self._lock:
            families = [_family(*item) for item in self._metrics.items()]
        yield from families
        for name, (callback, what) in self._callbacks.copy().items():
            yield self._read(name, callback, what)

    def _read(self, name: str, callback: Callable[..., Iterable[Any]], what: str) -> Metric:
        family = Reading(name, what, "gauge")
        try:
            for seen in list(callback(SimpleNamespace(timeout_millis=10_000)))[:MOST_SERIES]:
                family.add_sample(name, dict(labels_of(seen.attributes)), float(seen.value))
        except BaseException as error:  # noqa: BLE001 -- a plugin's callback may raise anything
            self._warn_once(name, described(error))
        return family


def _family(exposed: str, series: _Series) -> Metric:
    if series.kind == "counter":
        exposed = exposed.removesuffix("_total")
    family = Metric(exposed, f"{series.name}, counted by plugins.", series.kind)
    for labels, cell in series.values.items():
        if series.kind == "histogram":
            _add_buckets(family, dict(labels), cell)
        else:
            suffix = "_total" if series.kind == "counter" else ""
            family.add_sample(exposed + suffix, dict(labels), cell[0])
    return family


def _add_buckets(family: Metric, labels: dict[str, str], cell: list[float]) -> None:
    running = list(accumulate(cell[:-1]))
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), running, strict=True):
        family.add_sample(f"{family.name}_bucket", {**labels, "le": bound}, count)
    family.add_sample(f"{family.name}_count", labels, running[-1])
    family.add_sample(f"{family.name}_sum", labels, cell[-1])


def exposed_name(name: str) -> str:
    """A plugin's name in the characters of Prometheus, distinct from names of the service."""
    plain = _NOT_IN_A_NAME.sub("_", name)
    return plain if plain[:1].isalpha() and not plain.startswith("patchcord") else f"guest_{plain}"


def labels_of(attributes: Attributes | None) -> Labels:
    """The labels for a plugin's attributes, without ids and with bounded values."""
    labels = {}
    for key, value in (attributes or {}).items():
        text = text_of(value)
        if not _IDENTIFIES.search(key) and not _UUID.fullmatch(text):
            labels[exposed_label(key)] = text[:LONGEST_VALUE]
    return tuple(sorted(labels.items()))


def exposed_label(key: str) -> str:
    """An attribute's name in the characters that Prometheus allows."""
    plain = _NOT_IN_A_NAME.sub("_", key)
    return plain if plain[:1].isalpha() and plain not in ("le", "quantile") else f"guest_{plain}"
