"""vcon-server's metrics functions; the service publishes the plugins' metrics on `/metrics`.

An attribute whose name ends in `uuid`, `id`, `guid` or `ref`, or whose value is a uuid, is dropped:
each value would create a time series. See docs/metrics.md. No function raises or blocks.
"""

from collections.abc import Callable, Iterable
from typing import Any

from core.observability.metrics import PLUGINS, Attributes


def increment_counter(
    metric_name: str, value: float = 1, attributes: Attributes | None = None
) -> None:
    """Add `value`, which must not be negative, to a counter."""
    PLUGINS.increment(metric_name, value, attributes)


def record_histogram(metric_name: str, value: float, attributes: Attributes | None = None) -> None:
    """Record one value in a histogram."""
    PLUGINS.record(metric_name, value, attributes)


def add_updown_counter(
    metric_name: str, value: float, attributes: Attributes | None = None
) -> None:
    """Add `value`, which may be negative, to an up-down counter."""
    PLUGINS.add(metric_name, value, attributes)


def register_observable_gauge(
    metric_name: str, callback: Callable[..., Iterable[Any]], description: str | None = None
) -> None:
    """Call `callback` periodically for observations, with OpenTelemetry's `CallbackOptions`.

    An observation has `value` and `attributes`, like `opentelemetry.metrics.Observation`. Of the
    values that several processes observe under the same labels, the largest is published.
    """
    PLUGINS.observe(metric_name, callback, description or metric_name)


def init_metrics(*_: Any, **__: Any) -> None:
    """Does nothing, as in vcon-server."""


def stats_gauge(*_: Any, **__: Any) -> None:
    """Does nothing, as in vcon-server: use `register_observable_gauge`."""


def stats_count(*_: Any, **__: Any) -> None:
    """Does nothing, as in vcon-server: use `increment_counter`."""
