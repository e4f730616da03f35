"""Traces and metrics as a collector gets them, and what is never in them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.observability import otlp
from core.observability.metrics import REGISTRY
from core.observability.otlp import Delivery, OtlpMetrics, OtlpSpans
from core.observability.telemetry import Telemetry
from core.observability.tracing import installed
from core.settings import Settings
from tests.integration.support.otlp_collector import Collector, collector
from tests.integration.support.unanswering import silent

ROOT = Path(__file__).parents[3]
PLAIN = {f"postgres_{each}": "x" for each in ("host", "user", "password")} | {
    "postgres_port": 1,
    "postgres_db_development": "x",
    "postgres_db_test": "x",
    "postgres_db_production": "x",
    "websocket_url": "ws://localhost",
    "token": "x",
}


@pytest.fixture
def got(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector to which this process sends."""
    with collector() as got:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", got.url)
        yield got


@pytest.fixture
def spans(got: Collector) -> Iterator[OtlpSpans]:
    """What traces this process."""
    spans = OtlpSpans(otlp.resource("tests"))
    yield spans
    spans.close()


def test_spans_within_each_other_are_parts(got: Collector, spans: OtlpSpans) -> None:
    """What is open is the parent of what is opened; both arrive at the latest when all ends."""
    with spans.span("outer", {"a": 1}) as outer:
        outer.say("b", "two")
        with spans.span("inner", {}):
            pass
    spans.close()
    outer_span, inner = got.wait_for_span("outer"), got.wait_for_span("inner")
    assert (inner.parent, inner.trace) == (outer_span.id, outer_span.trace)
    assert outer_span.attributes == {"a": 1, "b": "two"}
    assert (outer_span.service, outer_span.parent, outer_span.failed) == ("tests", "", False)


def test_an_error_is_told_by_its_type_alone(got: Collector, spans: OtlpSpans) -> None:
    """Its text may hold a secret or a vCon."""
    with pytest.raises(RuntimeError), spans.span("broken", {}):
        raise RuntimeError("hidden words")
    with spans.span("bad", {}) as span:
        span.failed("503")
    spans.close()
    broken = got.wait_for_span("broken")
    assert broken.failed
    assert broken.attributes == {"error.type": "RuntimeError"}
    assert "hidden" not in "".join(span.raw for span in got.spans)
    assert got.wait_for_span("bad").failed


def test_a_context_leads_back_to_its_span(got: Collector, spans: OtlpSpans) -> None:
    """It is vcon-server's JSON; outside of any span there is none."""
    assert spans.context() == ""
    with spans.span("producer", {}):
        context = spans.context()
    with spans.span("consumer", {}, context):
        pass
    spans.close()
    told, producer = json.loads(context), got.wait_for_span("producer")
    assert told.pop("trace_flags") & 1
    assert told == {"trace_id": producer.trace, "span_id": producer.id, "is_sampled": True}
    consumer = got.wait_for_span("consumer")
    assert (consumer.links, consumer.parent) == ((producer.id,), "")
    assert consumer.trace != producer.trace


def test_what_is_not_sampled_leaves_no_context(
    got: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unsampled trace is not continued."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    spans = OtlpSpans(otlp.resource("tests"))
    with spans.span("unseen", {}):
        assert spans.context() == ""
    spans.close()
    assert got.spans == []


@pytest.mark.parametrize(
    "context",
    [
        "",
        "nonsense",
        "[]",
        "null",
        "7",
        "{}",
        '{"trace_id": "x", "span_id": "y"}',
        '{"trace_id": 5, "span_id": 5}',
        '{"trace_id": "0", "span_id": "0"}',
        '{"trace_id": "aa", "span_id": "bb", "trace_flags": "many"}',
    ],
)
def test_a_context_that_is_none_links_with_nothing(context: str, spans: OtlpSpans) -> None:
    """Any program may write there; the run goes on all the same."""
    with spans.span("consumer", {}, context):
        assert json.loads(spans.context())["is_sampled"]


def test_metrics_are_sent_again_and_again(got: Collector) -> None:
    """The numbers of the registry, until it is closed; one failure does not end it."""
    failures = iter([OSError("once")])

    def collect() -> Any:
        if error := next(failures, None):
            raise error
        return REGISTRY.collect()

    metrics = OtlpMetrics(otlp.resource("tests"), collect, 0.01)
    assert got.wait_for_metric("patchcord_joined").as_double in {0, 1}
    metrics.close()


def test_a_collector_that_is_away_is_told_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One line, however often something is sent and fails."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.01")
    with collector() as here:
        pass
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", here.url)
    metrics = OtlpMetrics(otlp.resource("tests"), REGISTRY.collect, 3600)
    for _ in range(3):
        metrics.send()
    metrics.close()
    said = [record.getMessage() for record in caplog.records]
    assert said == ["OTLP export failed"]
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_delivery_tells_when_it_is_well_again(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is said as long as nothing changes."""
    delivery = Delivery("traces")
    for well in (True, False, False, True, True):
        delivery.went(well=well)
    assert [(record.getMessage(), vars(record)["signal"]) for record in caplog.records] == [
        ("OTLP export failed", "traces"),
        ("OTLP export resumed", "traces"),
    ]


def test_closing_gives_up_on_a_silent_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    """`close` returns after its limit, although the export has not ended.

    The thread that goes on is waited for: what it logs would be part of another test.
    """
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    with silent() as port:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        spans = OtlpSpans(otlp.resource("tests"), close_seconds=0.01)
        with spans.span("lost", {}):
            pass
        spans.close()
        (closing,) = (thread for thread in threading.enumerate() if thread.name == "otlp-close")
        assert closing.daemon
        closing.join()


@pytest.mark.parametrize("off", ["traces", "metrics"])
def test_each_kind_can_be_switched_off(
    off: str, got: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`none`, as OpenTelemetry has it."""
    monkeypatch.setattr("core.observability.tracing._installed", [])
    settings = Settings(
        **PLAIN,
        otel_exporter_otlp_endpoint=got.url,
        otel_metric_export_interval=10,
        **{f"otel_{off}_exporter": "none"},
    )
    telemetry = Telemetry(settings, REGISTRY.collect)
    assert (installed() is None) == (off == "traces")
    if off == "traces":
        assert got.wait_for_metric("patchcord_joined") is not None
    telemetry.close()
    assert bool(got.metrics) == (off == "traces")


def test_another_protocol_is_warned_of_and_http_used(
    got: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The service starts as it would without the variable."""
    monkeypatch.setattr("core.observability.tracing._installed", [])
    settings = Settings(
        **PLAIN,
        otel_exporter_otlp_endpoint=got.url,
        otel_exporter_otlp_protocol="grpc",
        otel_metric_export_interval=10,
    )
    telemetry = Telemetry(settings, REGISTRY.collect)
    assert "OTLP protocol not spoken, http/protobuf used" in caplog.messages
    assert got.wait_for_metric("patchcord_joined") is not None
    telemetry.close()


def test_without_an_endpoint_no_exporter_is_loaded() -> None:
    """Neither by the service nor by a worker: it would cost a third of a second at each start."""
    code = """
import sys, app.bootstrap, app.bootstrap_worker
wanted = ("opentelemetry.exporter", "opentelemetry.sdk.trace", "google.protobuf") + (
    "core.observability.otlp",
)
print([name for name in sys.modules if name.startswith(wanted)])
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "[]\n"
