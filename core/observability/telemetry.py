"""Starts and ends the export of traces and metrics over OTLP."""

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
    """The OTLP export of this process; does nothing, at no cost, unless an endpoint is set."""

    def __init__(
        self, settings: Settings, collect: "Callable[[], Iterable[Metric]] | None" = None
    ) -> None:
        """Start. `collect` returns all metrics, in the process that exports them."""
        self._close: list[Callable[[], None]] = []
        if settings.otel_exporter_otlp_endpoint is not None:
            self._begin(settings, collect)

    def _begin(self, settings: Settings, collect: "Callable[[], Iterable[Metric]] | None") -> None:
        if settings.otel_exporter_otlp_protocol != SPOKEN:
            log.warning("OTLP protocol not spoken, http/protobuf used", extra={"error": PORT})
        from core.observability import otlp  # noqa: PLC0415 -- takes 0.3 s, and is rarely needed

        resource = otlp.resource(settings.otel_service_name)
        if settings.otel_traces_exporter == "otlp":
            traced = otlp.OtlpSpans(resource)
            tracing.install(traced)
            self._close.append(traced.close)
        if collect is not None and settings.otel_metrics_exporter == "otlp":
            seconds = settings.otel_metric_export_interval / 1000
            self._close.append(otlp.OtlpMetrics(resource, collect, seconds).close)

    def close(self) -> None:
        """Send the remaining spans, for at most two seconds."""
        for close in self._close:
            close()
