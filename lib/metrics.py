"""vcon-server's metrics, for plugins that report some; they stand on the service's `/metrics`.

An attribute whose name ends in `uuid`, `id`, `guid` or `ref`, or whose value is a uuid, is left
out: each value would be a series for ever. See docs/metrics.md. Nothing here raises or waits.
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
    """Note one measured value."""
    PLUGINS.record(metric_name, value, attributes)


def add_updown_counter(
    metric_name: str, value: float, attributes: Attributes | None = None
) -> None:
    """Add `value`, which may be negative, to a number of things that are there now."""
    PLUGINS.add(metric_name, value, attributes)


def register_observable_gauge(
    metric_name: str, callback: Callable[..., Iterable[Any]], description: str | None = None
) -> None:
    """Ask `callback` for its observations now and then; it gets OpenTelemetry's options.

    An observation has `value` and `attributes`, as `opentelemetry.metrics.Observation` does. Of
    what several processes observe under the same labels, the largest value counts.
    """
    PLUGINS.observe(metric_name, callback, description or metric_name)


def init_metrics(*_: Any, **__: Any) -> None:
    """Does nothing, as in vcon-server: there is nothing to prepare."""


def stats_gauge(*_: Any, **__: Any) -> None:
    """Does nothing, as in vcon-server: use `register_observable_gauge`."""


def stats_count(*_: Any, **__: Any) -> None:
    """Does nothing, as in vcon-server: use `increment_counter`."""
