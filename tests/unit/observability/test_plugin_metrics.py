"""What plugins count through `lib.metrics`, and what they cannot do to the page."""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from core.observability import plugin_metrics
from core.observability.metrics import REGISTRY
from core.observability.metrics_export import added_up
from core.observability.plugin_metrics import PluginMetrics
from lib import metrics

UUID = "0f6b0a44-9cf5-4f9e-8d2a-6b6f7c0c1d11"


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[PluginMetrics]:
    """Plugins' metrics of this test alone, in the place of the process's own."""
    fresh = PluginMetrics()
    monkeypatch.setattr(metrics, "PLUGINS", fresh)
    return fresh


def series(plugins: PluginMetrics) -> dict[str, float]:
    """What Prometheus reads, by name and labels."""
    text = generate_latest(plugins).decode()
    return {
        f"{sample.name}{sample.labels or ''}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@dataclass
class Observation:
    """What vcon-server's callbacks give: OpenTelemetry's class has these two."""

    value: float
    attributes: dict[str, Any] = field(default_factory=dict)


def test_a_counter_adds_up_by_its_labels(plugins: PluginMetrics) -> None:
    """Each set of attributes is a series; the name is as Prometheus allows it."""
    metrics.increment_counter("conserver.link.jq.filter_errors", attributes={"link.name": "jq"})
    metrics.increment_counter("conserver.link.jq.filter_errors", 2, {"link.name": "jq"})
    metrics.increment_counter("conserver.link.jq.filter_errors", 5)
    assert series(plugins) == {
        "conserver_link_jq_filter_errors_total{'link_name': 'jq'}": 3,
        "conserver_link_jq_filter_errors_total": 5,
    }


def test_a_histogram_has_buckets(plugins: PluginMetrics) -> None:
    """Values of any unit find a bucket; count and sum are those of the values."""
    for value in (0.01, 0.25, 10**6):
        metrics.record_histogram("t", value)
    seen = series(plugins)
    assert (seen["t_count"], seen["t_sum"]) == (3, pytest.approx(1000000.26))
    bucket = "t_bucket{{'le': '{}'}}".format
    assert [seen[bucket(le)] for le in ("0.005", "0.02", "0.25", "+Inf")] == [0, 1, 2, 3]


def test_an_updown_counter_can_fall(plugins: PluginMetrics) -> None:
    """It is a gauge."""
    metrics.add_updown_counter("busy", 2)
    metrics.add_updown_counter("busy", -3)
    assert series(plugins) == {"busy": -1}


def test_a_gauge_is_read_when_somebody_asks(plugins: PluginMetrics) -> None:
    """The callback is asked anew each time, with the options that OpenTelemetry gives."""
    values = iter([3, 4])

    def look(options: Any) -> list[Observation]:
        assert options.timeout_millis > 0
        return [Observation(next(values), {"kind": "dlq"})]

    metrics.register_observable_gauge("list.length", look, "How long it is.")
    assert series(plugins) == {"list_length{'kind': 'dlq'}": 3}
    assert series(plugins) == {"list_length{'kind': 'dlq'}": 4}


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_not_counted(plugins: PluginMetrics, odd: float) -> None:
    """Once added it would be all that the series says, for ever; and JSON has no word for it."""
    plugins.increment("count", odd, None)
    plugins.add("level", odd, None)
    plugins.record("seconds", odd, None)
    assert series(plugins) == {}


def test_the_same_gauge_in_two_processes_is_one_number() -> None:
    """Every process reads the same list: its length is no sum. What they count themselves is."""
    one, other = PluginMetrics(), PluginMetrics()
    for plugins, length in ((one, 7.0), (other, 5.0)):
        plugins.observe("length", lambda _, length=length: [Observation(length)], "")
        plugins.add("busy", 2, None)
    together = {f.name: f.samples[0].value for f in added_up(one.collect(), other.collect())}
    assert together == {"length": 7, "busy": 4}


@pytest.mark.parametrize(
    "attributes",
    [
        {"vcon.uuid": "x"},
        {"vcon_uuid": UUID},
        {"record-id": 5},
        {"ID": 5},
        {"ref": "abc"},
        {"what": UUID},
        {"what": UUID.replace("-", "").upper()},
        {},
        None,
    ],
)
def test_what_identifies_is_no_label(attributes: Any, plugins: PluginMetrics) -> None:
    """A vCon's uuid under any name: the count is kept, the attribute is not."""
    metrics.increment_counter("seen", 1, attributes)
    assert series(plugins) == {"seen_total": 1}


def test_text_that_is_no_utf_8_keeps_no_number_from_the_page(plugins: PluginMetrics) -> None:
    """In a name, a label or a description; nor does a callback that raises no `Exception`."""
    odd = "caf\udce9\0"

    def panics(_: object) -> list[Observation]:
        raise GeneratorExit("a panic")

    metrics.increment_counter(f"seen_{odd}", 1, {"file": odd, odd: "x"})
    metrics.register_observable_gauge("open", panics, odd)
    assert sum(series(plugins).values()) == 1
    for family in plugins.collect():
        orjson.dumps([family.documentation, [(each.name, each.labels) for each in family.samples]])


@pytest.mark.parametrize("key", ["model", "outcome", "width", "humid", "link.name"])
def test_what_classifies_is_a_label(key: str, plugins: PluginMetrics) -> None:
    """Names that merely end like an id are kept."""
    metrics.increment_counter("seen", 1, {key: "x"})
    assert list(series(plugins)) == [f"seen_total{{'{key.replace('.', '_')}': 'x'}}"]


def test_series_are_bounded(plugins: PluginMetrics, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values beyond the bound are counted in one series; those known before go on."""
    monkeypatch.setattr(plugin_metrics, "MOST_SERIES", 2)
    for number in [0, 1, 2, 3, 0]:
        metrics.increment_counter("seen", 1, {"url": number})
    assert series(plugins) == {
        "seen_total{'url': '0'}": 2,
        "seen_total{'url': '1'}": 1,
        "seen_total{'overflow': 'true'}": 2,
    }


def test_names_are_bounded(
    plugins: PluginMetrics, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A plugin that puts the vCon into the name gets so many metrics; the log says so, once."""
    monkeypatch.setattr(plugin_metrics, "MOST_METRICS", 1)
    for name in ("a", "b", "c"):
        metrics.increment_counter(name)
    assert series(plugins) == {"a_total": 1}
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("name", "exposed"),
    [
        ("conserver.link.x", "conserver_link_x"),
        ("seen_total", "seen"),
        ("9 lives!", "guest_9_lives_"),
        ("patchcord_requests", "guest_patchcord_requests"),
        ("", "guest_"),
    ],
)
def test_every_name_can_be_exposed(name: str, exposed: str, plugins: PluginMetrics) -> None:
    """Characters that Prometheus does not allow are replaced; no name looks like the service's."""
    metrics.increment_counter(name)
    assert series(plugins) == {f"{exposed}_total": 1}


def test_odd_numbers_hurt_nobody(plugins: PluginMetrics, caplog: pytest.LogCaptureFixture) -> None:
    """A counter that would fall, a name used twice, a gauge that raises: told once, and no more."""

    def broken(_: Any) -> list[Observation]:
        raise OSError("gone")

    metrics.register_observable_gauge("gauge", broken)
    for _ in range(2):
        metrics.increment_counter("down", -1)
        metrics.increment_counter("twice")
        metrics.record_histogram("twice", 1)
        assert series(plugins) == {"twice_total": _ + 1}
    assert {vars(each)["error"].split(":")[0] for each in caplog.records} == {
        "gauge",
        "down",
        "twice",
    }
    assert len(caplog.records) == 3
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_the_old_names_do_nothing(plugins: PluginMetrics) -> None:
    """`init_metrics`, `stats_gauge` and `stats_count` take what they took and count nothing."""
    metrics.init_metrics()
    metrics.stats_gauge("a", 1, tags={})
    metrics.stats_count("a", 1)
    assert series(plugins) == {}


def test_plugins_and_the_service_share_a_page() -> None:
    """What a plugin counts is in the registry that `/metrics` shows."""
    metrics.increment_counter("of_a_plugin")
    assert "of_a_plugin" in {family.name for family in REGISTRY.collect()}
