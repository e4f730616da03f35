"""Whether traces and metrics are sent somewhere, and letting go of that in the end."""

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from core.observability import tracing
from core.settings import Settings

if TYPE_CHECKING:
    from prometheus_client.core import Metric

log = logging.getLogger(__name__)

SPOKEN = "http/protobuf"
PORT = "OTEL_EXPORTER_OTLP_PROTOCOL is another one; a collector's port for HTTP is 4318, not 4317"


class Telemetry:
    """What this process sends over OTLP; nothing, and at no cost, unless an endpoint is set."""

    def __init__(
        self, settings: Settings, collect: "Callable[[], Iterable[Metric]] | None" = None
    ) -> None:
        """Begin. `collect` gives all numbers, in the process that sends them."""
        self._close: list[Callable[[], None]] = []
        if settings.otel_exporter_otlp_endpoint is not None:
            self._begin(settings, collect)

    def _begin(self, settings: Settings, collect: "Callable[[], Iterable[Metric]] | None") -> None:
        if settings.otel_exporter_otlp_protocol != SPOKEN:
            log.warning("OTLP protocol not spoken, http/protobuf used", extra={"error": PORT})
        from core.observability import otlp  # noqa: PLC0415 -- takes a third of a second, and most never need it

        resource = otlp.resource(settings.otel_service_name)
        if settings.otel_traces_exporter == "otlp":
            traced = otlp.OtlpSpans(resource)
            tracing.install(traced)
            self._close.append(traced.close)
        if collect is not None and settings.otel_metrics_exporter == "otlp":
            seconds = settings.otel_metric_export_interval / 1000
            self._close.append(otlp.OtlpMetrics(resource, collect, seconds).close)

    def close(self) -> None:
        """Send what is left, for two seconds at most."""
        for close in self._close:
            close()
