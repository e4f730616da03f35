"""vcon-server's metrics, for guests that report some.

Nothing is counted yet: this service has no metrics of its own so far, and these functions do
nothing. They are here so that guests that call them run.
"""

from collections.abc import Mapping

type Attributes = Mapping[str, str | bool | int | float]


def increment_counter(
    metric_name: str, value: float = 1, attributes: Attributes | None = None
) -> None:
    """Does nothing yet; meant to add `value` to a counter."""


def record_histogram(metric_name: str, value: float, attributes: Attributes | None = None) -> None:
    """Does nothing yet; meant to note one measured value."""
