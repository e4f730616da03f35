"""A collector: an HTTP server that takes OTLP in protobuf and tells what it got."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PATIENCE = 60.0


@dataclass(frozen=True)
class GotSpan:
    """One span as it came over the wire."""

    name: str
    trace: str
    id: str
    parent: str
    links: tuple[str, ...]
    attributes: dict[str, Any]
    failed: bool
    service: str
    raw: str


@dataclass
class Collector:
    """What has come in so far."""

    url: str = ""
    spans: list[GotSpan] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    news: threading.Condition = field(default_factory=threading.Condition)

    def wait_for_span(self, name: str, **attributes: Any) -> GotSpan:
        """The first span of that name with these attributes, as soon as it is here."""
        return self._wait(
            lambda span: span.name == name and attributes.items() <= span.attributes.items()
        )

    def wait_for_id(self, span_id: str) -> GotSpan:
        """One certain span, as soon as it is here."""
        return self._wait(lambda span: span.id == span_id)

    def wait_for_link(self, span_id: str) -> GotSpan:
        """The first span that is linked with a certain one, as soon as it is here."""
        return self._wait(lambda span: span_id in span.links)

    def _wait(self, wanted: Callable[[GotSpan], bool]) -> GotSpan:
        with self.news:
            assert self.news.wait_for(lambda: any(map(wanted, self.spans)), PATIENCE)
            return next(filter(wanted, self.spans))

    def wait_for_metric(self, name: str, at_least: float = 0, **labels: str) -> Any:
        """The newest data point of a metric with these labels, once it has counted so much."""

        def there() -> bool:
            point = self._point(name, labels)
            return point is not None and getattr(point, "as_double", at_least) >= at_least

        with self.news:
            assert self.news.wait_for(there, PATIENCE), self.metrics
            return self._point(name, labels)

    def _point(self, name: str, labels: dict[str, str]) -> Any:
        metric = self.metrics.get(name)
        if metric is None:
            return None
        points = getattr(metric, metric.WhichOneof("data")).data_points
        return next((p for p in points if labels.items() <= _plain(p.attributes).items()), None)

    def take(self, path: str, body: bytes) -> None:
        """Decode one request."""
        with self.news:
            if path == "/v1/traces":
                self.spans += _spans(ExportTraceServiceRequest.FromString(body))
            elif path == "/v1/metrics":
                for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                    for scope in resource.scope_metrics:
                        self.metrics.update({metric.name: metric for metric in scope.metrics})
            self.news.notify_all()


def _spans(request: ExportTraceServiceRequest) -> Iterator[GotSpan]:
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield GotSpan(
                    name=span.name,
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    links=tuple(link.span_id.hex() for link in span.links),
                    attributes=_plain(span.attributes),
                    failed=span.status.code == span.status.STATUS_CODE_ERROR,
                    raw=str(span),
                    service=_plain(resource.resource.attributes)["service.name"],
                )


def _plain(attributes: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


@contextmanager
def collector() -> Iterator[Collector]:
    """A collector on a free port of this machine."""
    got = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            got.headers.update({name.lower(): value for name, value in self.headers.items()})
            got.take(self.path, body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    got.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
