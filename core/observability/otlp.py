"""Export of traces and metrics over OTLP; the only file that imports OpenTelemetry.

The exporters read the standard variables (`OTEL_EXPORTER_OTLP_*`, `OTEL_BSP_*`,
`OTEL_TRACES_SAMPLER`, `OTEL_RESOURCE_ATTRIBUTES`). The metrics are those of `/metrics`, with the
same names and values.
"""

import json
import logging
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import override

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.util import types
from prometheus_client.core import Metric as Family
from prometheus_client.samples import Sample

from core.observability.redaction import KNOWN, error_text
from core.observability.storable_text import storable_text
from core.observability.tracing import Attributes, Caller

log = logging.getLogger(__name__)

SCOPE = "patchcord"
CLOSE_SECONDS = 2.0
"""Longest wait for the export of the last spans at the end of the process."""
CUMULATIVE = AggregationTemporality.CUMULATIVE


def metric_of(family: Family, began: int, now: int) -> Metric | None:
    """OTLP's form of a Prometheus family; both times in ns since 1970. None if it is empty."""
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
    """A bucket of OTLP counts its own values, one of Prometheus all values up to its bound.

    The smallest and the largest value are unknown; they are optional in OTLP.
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


class Delivery:
    """Logs once that the export fails, and once that it works again."""

    def __init__(self, what: str) -> None:
        """Also silences the exporters' own loggers, which log every failed attempt."""
        self._what = what  # "traces" or "metrics"
        self._fine = True
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)

    def went(self, *, well: bool) -> None:
        """Record the result of one batch."""
        if well != self._fine:
            self._fine = well
            if well:
                log.warning("OTLP export resumed", extra={"signal": self._what})
            else:
                log.warning("OTLP export failed", extra={"signal": self._what})


class _ReportingExporter(OTLPSpanExporter):
    """Exports redacted spans, and reports the result to `Delivery`."""

    def __init__(self) -> None:
        super().__init__()
        self._delivery = Delivery("traces")

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = super().export([without_secrets(span) for span in spans])
        self._delivery.went(well=result is SpanExportResult.SUCCESS)
        return result


def without_secrets(span: ReadableSpan) -> ReadableSpan:
    """The span with attributes, events and status redacted as log lines are.

    A plugin that traces by itself may record errors with their texts.
    """
    status = span.status
    return ReadableSpan(
        name=KNOWN.sentence(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_hidden(span.attributes),
        events=[Event(each.name, _hidden(each.attributes), each.timestamp) for each in span.events],
        links=span.links,
        kind=span.kind,
        status=trace.Status(
            status.status_code, status.description and error_text(status.description)
        ),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _hidden(attributes: types.Attributes) -> types.Attributes:
    return {name: _hidden_value(value) for name, value in (attributes or {}).items()}


def _hidden_value(value: types.AttributeValue) -> types.AttributeValue:
    if isinstance(value, str):
        return error_text(value)
    if isinstance(value, Sequence) and any(isinstance(each, str) for each in value):
        return [error_text(each) for each in value if isinstance(each, str)]
    return value


class OtlpSpan:
    """A `core.observability.tracing.Span`."""

    def __init__(self, span: trace.Span) -> None:
        """Wrap a span of OpenTelemetry."""
        self._span = span

    def say(self, name: str, value: str | int) -> None:
        """Add an attribute."""
        self._span.set_attribute(name, _storable(value))

    def failed(self, why: str) -> None:
        """Mark the span as failed."""
        self._span.set_status(trace.Status(trace.StatusCode.ERROR, why))


class OtlpSpans:
    """A `core.observability.tracing.Spans` that exports in batches, in a thread."""

    def __init__(self, resource: Resource, close_seconds: float = CLOSE_SECONDS) -> None:
        """Make the provider and set it globally, for plugins that trace by themselves."""
        self._close_seconds = close_seconds
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(_ReportingExporter()))
        trace.set_tracer_provider(self._provider)
        self._tracer = self._provider.get_tracer(SCOPE)

    @contextmanager
    def span(
        self,
        name: str,
        attributes: Attributes,
        producer: str = "",
        caller: Caller | None = None,
    ) -> Iterator[OtlpSpan]:
        """Open a span; of an error only the type is recorded, since its text may have secrets."""
        with self._tracer.start_as_current_span(
            name,
            context=_parent(caller),
            attributes={key: _storable(value) for key, value in attributes.items()},
            links=list(_links(producer)),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield OtlpSpan(span)
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(trace.Status(trace.StatusCode.ERROR, type(error).__name__))
                raise

    def context(self) -> str:
        """The open span as JSON; empty if there is none, or if it is not sampled."""
        now = trace.get_current_span().get_span_context()
        if not (now.is_valid and now.trace_flags.sampled):
            return ""
        ids = trace.format_trace_id(now.trace_id), trace.format_span_id(now.span_id)
        return Caller(*ids, int(now.trace_flags)).context

    def close(self) -> None:
        """Export the remaining spans within `close_seconds`; the exporter's own limit is ten."""
        sending = threading.Thread(target=self._provider.shutdown, name="otlp-close", daemon=True)
        sending.start()
        sending.join(self._close_seconds)


def _storable[T](value: T) -> T | str:
    """Replace unpaired surrogates, with which a batch could not be sent."""
    return storable_text(value) if isinstance(value, str) else value


def _parent(caller: Caller | None) -> Context | None:
    """The context for a child of the caller's span; None: the present one."""
    if caller is None:
        return None
    ids = int(caller.trace_id, 16), int(caller.span_id, 16)
    flags = trace.TraceFlags(caller.flags)
    span = trace.SpanContext(*ids, is_remote=True, trace_flags=flags)
    return trace.set_span_in_context(trace.NonRecordingSpan(span))


def _links(producer: str) -> Iterator[trace.Link]:
    """A link to the producer's span; none for text that is no trace context."""
    try:
        known = json.loads(producer) if producer else {}
        trace_id, span_id = int(known["trace_id"], 16), int(known["span_id"], 16)
        flags = trace.TraceFlags(int(known.get("trace_flags") or 0))
    except (ValueError, TypeError, KeyError, AttributeError):
        return
    context = trace.SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags)
    if context.is_valid:
        yield trace.Link(context)


class OtlpMetrics:
    """Exports all metrics every `seconds`, in a thread."""

    def __init__(
        self, resource: Resource, collect: Callable[[], Iterable[Family]], seconds: float
    ) -> None:
        """`collect` is called in the thread and may block."""
        self._resource = resource
        self._collect = collect
        self._seconds = seconds
        self._began = time.time_ns()
        self._exporter = OTLPMetricExporter()
        self._delivery = Delivery("metrics")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otlp-metrics", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(self._seconds):
            try:
                self.send()
            except Exception:  # a later export may succeed
                log.exception("metrics cannot be put together")

    def send(self) -> None:
        """Export the metrics now."""
        now = time.time_ns()
        metrics = [metric_of(family, self._began, now) for family in self._collect()]
        scope = ScopeMetrics(InstrumentationScope(SCOPE), [m for m in metrics if m], "")
        data = MetricsData([ResourceMetrics(self._resource, [scope], "")])
        self._delivery.went(well=self._exporter.export(data) is MetricExportResult.SUCCESS)

    def close(self) -> None:
        """End the export."""
        self._ended.set()
        self._exporter.shutdown()


def resource(service_name: str) -> Resource:
    """The identity of this process in traces and metrics."""
    about: Mapping[str, str] = {
        "service.name": service_name,
        "service.instance.id": f"{socket.gethostname()}-pid-{os.getpid()}",
    }
    return Resource.create(dict(about))
