"""Traces and metrics over OTLP: the only file that knows OpenTelemetry.

The exporters read the standard variables themselves (`OTEL_EXPORTER_OTLP_*`, `OTEL_BSP_*`,
`OTEL_TRACES_SAMPLER`, `OTEL_RESOURCE_ATTRIBUTES`). Metrics are those of `/metrics`, sent as they
are: there is one set of numbers and two ways out.
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
from core.observability.tracing import Attributes

# From Prometheus's families to OTLP's metrics: the same numbers in other words.

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


log = logging.getLogger(__name__)

SCOPE = "patchcord"
CLOSE_SECONDS = 2.0
"""How long a process that ends waits until its last spans are sent."""


class Delivery:
    """Says once that the collector takes nothing, and once that it does again."""

    def __init__(self, what: str) -> None:
        """`what` is sent; the exporters would say for each try that it failed."""
        self._what = what  # "traces" or "metrics"
        self._fine = True
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)

    def went(self, *, well: bool) -> None:
        """A batch has been sent, or given up."""
        if well != self._fine:
            self._fine = well
            if well:
                log.warning("OTLP export resumed", extra={"signal": self._what})
            else:
                log.warning("OTLP export failed", extra={"signal": self._what})


class _TellingExporter(OTLPSpanExporter):
    """Sends spans, and says when that begins or ceases to fail."""

    def __init__(self) -> None:
        super().__init__()
        self._delivery = Delivery("traces")

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = super().export([without_secrets(span) for span in spans])
        self._delivery.went(well=result is SpanExportResult.SUCCESS)
        return result


def without_secrets(span: ReadableSpan) -> ReadableSpan:
    """The same span; a plugin that traces something itself may record its errors with their texts.

    Attributes, events and the status are redacted as log lines are.
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
        """Wraps one of OpenTelemetry's."""
        self._span = span

    def say(self, name: str, value: str | int) -> None:
        """Add an attribute."""
        self._span.set_attribute(name, _storable(value))

    def failed(self, why: str) -> None:
        """It did not go well."""
        self._span.set_status(trace.Status(trace.StatusCode.ERROR, why))


class OtlpSpans:
    """A `Spans` that sends what it traces, in batches, from a thread of its own."""

    def __init__(self, resource: Resource) -> None:
        """Plugins that trace something themselves find the same provider."""
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(_TellingExporter()))
        trace.set_tracer_provider(self._provider)
        self._tracer = self._provider.get_tracer(SCOPE)

    @contextmanager
    def span(self, name: str, attributes: Attributes, producer: str = "") -> Iterator[OtlpSpan]:
        """One span; errors are told by their type alone, since their text may hold anything."""
        with self._tracer.start_as_current_span(
            name,
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
        """The open span, if it is sampled."""
        now = trace.get_current_span().get_span_context()
        if not (now.is_valid and now.trace_flags.sampled):
            return ""
        return json.dumps(
            {
                "trace_id": trace.format_trace_id(now.trace_id),
                "span_id": trace.format_span_id(now.span_id),
                "trace_flags": int(now.trace_flags),
                "is_sampled": True,
            }
        )

    def close(self) -> None:
        """Send what there is, for a short time; an exporter alone would try for ten seconds."""
        sending = threading.Thread(target=self._provider.shutdown, name="otlp-close", daemon=True)
        sending.start()
        sending.join(CLOSE_SECONDS)


def _storable[T](value: T) -> T | str:
    """A batch with half a surrogate pair in it could not be sent."""
    return storable_text(value) if isinstance(value, str) else value


def _links(producer: str) -> Iterator[trace.Link]:
    """The producer's span; whatever another program left there that is none is passed over."""
    try:
        told = json.loads(producer) if producer else {}
        trace_id, span_id = int(told["trace_id"], 16), int(told["span_id"], 16)
        flags = trace.TraceFlags(int(told.get("trace_flags") or 0))
    except (ValueError, TypeError, KeyError, AttributeError):
        return
    context = trace.SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags)
    if context.is_valid:
        yield trace.Link(context)


class OtlpMetrics:
    """Sends all numbers every so many seconds, from a thread of its own."""

    def __init__(
        self, resource: Resource, collect: Callable[[], Iterable[Family]], seconds: float
    ) -> None:
        """`collect` is called in that thread; it may wait."""
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
            except Exception:  # the next time may go better
                log.exception("metrics cannot be put together")

    def send(self) -> None:
        """Send them now."""
        now = time.time_ns()
        metrics = [metric_of(family, self._began, now) for family in self._collect()]
        scope = ScopeMetrics(InstrumentationScope(SCOPE), [m for m in metrics if m], "")
        data = MetricsData([ResourceMetrics(self._resource, [scope], "")])
        self._delivery.went(well=self._exporter.export(data) is MetricExportResult.SUCCESS)

    def close(self) -> None:
        """Send nothing more."""
        self._ended.set()
        self._exporter.shutdown()


def resource(service_name: str) -> Resource:
    """What all that this process sends is from."""
    about: Mapping[str, str] = {
        "service.name": service_name,
        "service.instance.id": f"{socket.gethostname()}-pid-{os.getpid()}",
    }
    return Resource.create(dict(about))
