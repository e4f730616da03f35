"""From Prometheus's families to OTLP's metrics: the same numbers in other words."""

import math
from collections.abc import Iterator
from itertools import pairwise

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)
from prometheus_client.core import Metric as Family
from prometheus_client.samples import Sample

CUMULATIVE = AggregationTemporality.CUMULATIVE


def metric_of(family: Family, began: int, now: int) -> Metric | None:
    """The metric as it is `now`, counted since `began`, both in ns since 1970; None if empty."""
    data: Sum | Gauge | Histogram
    if family.type == "histogram":
        data = Histogram(list(_histograms(family, began, now)), CUMULATIVE)
    elif family.type == "counter":
        points = list(_numbers(family, began, now, suffix="_total"))
        data = Sum(points, CUMULATIVE, is_monotonic=True)
    else:
        data = Gauge(list(_numbers(family, began, now)))
    if not data.data_points:
        return None
    unit = "s" if family.name.endswith("_seconds") else ""
    return Metric(family.name, family.documentation, unit, data)


def _numbers(family: Family, began: int, now: int, suffix: str = "") -> Iterator[NumberDataPoint]:
    for sample in family.samples:
        if sample.name == family.name + suffix and not math.isnan(sample.value):
            yield NumberDataPoint(sample.labels, began, now, float(sample.value))


def _histograms(family: Family, began: int, now: int) -> Iterator[HistogramDataPoint]:
    series: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
    for sample in family.samples:
        labels = tuple(sorted(item for item in sample.labels.items() if item[0] != "le"))
        series.setdefault(labels, []).append(sample)
    for labels, samples in series.items():
        yield _histogram(family.name, dict(labels), samples, began, now)


def _histogram(
    name: str, labels: dict[str, str], samples: list[Sample], began: int, now: int
) -> HistogramDataPoint:
    """OTLP counts each bucket by itself, Prometheus everything up to its bound.

    Nobody knows the smallest and the largest value; on the wire they are optional.
    """
    buckets = sorted(
        (float(s.labels["le"]), s.value) for s in samples if s.name == f"{name}_bucket"
    )
    total = next((s.value for s in samples if s.name == f"{name}_sum"), 0.0)
    below = [0.0, *(count for _, count in buckets)]
    counts = [int(after - before) for before, after in pairwise(below)]
    return HistogramDataPoint(
        attributes=labels,
        start_time_unix_nano=began,
        time_unix_nano=now,
        count=int(below[-1]),
        sum=total,
        bucket_counts=counts,
        explicit_bounds=[bound for bound, _ in buckets if not math.isinf(bound)],
        min=None,  # type: ignore[arg-type]
        max=None,  # type: ignore[arg-type]
    )
