"""The numbers of `/metrics` as OTLP says them."""

import math

import pytest
from opentelemetry.sdk.metrics.export import AggregationTemporality, Gauge, Histogram, Sum
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from core.observability.metrics import Requests
from core.observability.otlp import metric_of

BEGAN, NOW = 100, 200


def test_a_counter_is_a_sum_that_only_grows() -> None:
    """With its labels as attributes, from the beginning until now."""
    family = CounterMetricFamily("x", "Some x.", labels=("who",))
    family.add_metric(("ann",), 3, created=1.0)
    metric = metric_of(family, BEGAN, NOW)
    assert metric is not None
    assert (metric.name, metric.description, metric.unit) == ("x", "Some x.", "")
    assert isinstance(metric.data, Sum)
    assert metric.data.is_monotonic
    assert metric.data.aggregation_temporality is AggregationTemporality.CUMULATIVE
    [point] = metric.data.data_points
    assert (point.attributes, point.value) == ({"who": "ann"}, 3)
    assert (point.start_time_unix_nano, point.time_unix_nano) == (BEGAN, NOW)


def test_a_gauge_is_a_gauge() -> None:
    """What is not known just now is not sent."""
    family = GaugeMetricFamily("x", "Some x.", labels=("who",))
    family.add_metric(("ann",), 3)
    family.add_metric(("bob",), math.nan)
    metric = metric_of(family, BEGAN, NOW)
    assert metric is not None
    assert isinstance(metric.data, Gauge)
    assert [point.attributes for point in metric.data.data_points] == [{"who": "ann"}]


def test_a_histogram_counts_each_bucket_by_itself() -> None:
    """Prometheus counts all up to a bound; the rest is above the last one."""
    requests = Requests()
    requests.offer(["Ping", "Pong"])
    for seconds in (0.0005, 0.002, 0.0021, 99.0):
        requests.ended(("Ping", 200), seconds)
    requests.ended(("Pong", 200), 1.0)
    _, family = requests.collect()
    metric = metric_of(family, BEGAN, NOW)
    assert metric is not None
    assert metric.unit == "s"
    assert isinstance(metric.data, Histogram)
    ping, pong = metric.data.data_points
    assert (ping.attributes, pong.attributes) == ({"action": "Ping"}, {"action": "Pong"})
    assert list(ping.explicit_bounds)[:2] == [0.001, 0.0025]
    assert len(ping.bucket_counts) == len(ping.explicit_bounds) + 1
    assert list(ping.bucket_counts)[:3] == [1, 2, 0]
    assert (ping.bucket_counts[-1], ping.count) == (1, 4)
    assert ping.sum == pytest.approx(99.0046)


def test_a_family_without_samples_is_not_sent() -> None:
    """A metric without data points is no valid OTLP."""
    assert metric_of(Metric("x", "Some x.", "counter"), BEGAN, NOW) is None
