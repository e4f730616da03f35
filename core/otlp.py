"""Traces and metrics over OTLP: the only file that knows OpenTelemetry.

The exporters read the standard variables themselves (`OTEL_EXPORTER_OTLP_*`, `OTEL_BSP_*`,
`OTEL_TRACES_SAMPLER`, `OTEL_RESOURCE_ATTRIBUTES`). Metrics are those of `/metrics`, sent as they
are: there is one set of numbers and two ways out.
"""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.core import Metric as Family

from core.otlp_metrics import metric_of
from core.spans import Attributes

log = logging.getLogger(__name__)

SCOPE = "patchcord"
CLOSE_MILLISECONDS = 2000
"""How long a process that ends waits until its last spans are sent."""


class OtlpSpan:
    """A `core.spans.Span`."""

    def __init__(self, span: trace.Span) -> None:
        """Wraps one of OpenTelemetry's."""
        self._span = span

    def say(self, name: str, value: str | int) -> None:
        """Add an attribute."""
        self._span.set_attribute(name, value)

    def failed(self, why: str) -> None:
        """It did not go well."""
        self._span.set_status(trace.Status(trace.StatusCode.ERROR, why))


class OtlpSpans:
    """A `core.spans.Spans` that sends what it traces, in batches, from a thread of its own."""

    def __init__(self, resource: Resource) -> None:
        """Guests that trace something themselves find the same provider."""
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(self._provider)
        self._tracer = self._provider.get_tracer(SCOPE)

    @contextmanager
    def span(self, name: str, attributes: Attributes, producer: str = "") -> Iterator[OtlpSpan]:
        """One span; errors are told by their type alone, since their text may hold anything."""
        with self._tracer.start_as_current_span(
            name,
            attributes=dict(attributes),
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
        """Send what there is, for a short time."""
        self._provider.force_flush(CLOSE_MILLISECONDS)
        self._provider.shutdown()


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
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otlp-metrics", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(self._seconds):
            try:
                self.send()
            except Exception as error:  # noqa: BLE001 -- the next time may go better
                log.warning("metrics were not sent", extra={"cause": type(error).__name__})

    def send(self) -> None:
        """Send them now."""
        now = time.time_ns()
        metrics = [metric_of(family, self._began, now) for family in self._collect()]
        scope = ScopeMetrics(InstrumentationScope(SCOPE), [m for m in metrics if m], "")
        self._exporter.export(MetricsData([ResourceMetrics(self._resource, [scope], "")]))

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
