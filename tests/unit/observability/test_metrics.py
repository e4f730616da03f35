"""What is counted, under which names, and what it costs in series."""

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.metrics import MetricWrapperBase

from core.observability import metrics
from core.observability.metrics import FINE_SECONDS, LONG_SECONDS, REGISTRY, Requests
from core.observability.metrics_export import added_up
from core.observability.outcome_metrics import Outcomes, Tally

PAGE = (Path(__file__).parents[3] / "docs/metrics.md").read_text()


@pytest.fixture
def requests() -> Requests:
    """Requests of a service that offers one action."""
    requests = Requests()
    requests.offer(["Ping"])
    return requests


def series(requests: Requests) -> dict[str, float]:
    """Every sample of the exposed text, by name and labels."""
    registry = CollectorRegistry()
    registry.register(requests)
    lines = [line for line in generate_latest(registry).decode().splitlines() if line[0] != "#"]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_an_answer_is_counted_by_action_and_code(requests: Requests) -> None:
    """Each action and code has its own number; the times are those of the action."""
    requests.ended(("Ping", 200), 0.002)
    requests.ended(("Ping", 200), 0.3)
    requests.ended(("Ping", 400), 100.0)
    found = series(requests)
    assert found['patchcord_requests_total{action="Ping",code="200"}'] == 2
    assert found['patchcord_requests_total{action="Ping",code="400"}'] == 1
    assert found['patchcord_request_seconds_count{action="Ping"}'] == 3
    assert found['patchcord_request_seconds_sum{action="Ping"}'] == pytest.approx(100.302)


def test_a_bucket_holds_what_took_no_longer(requests: Requests) -> None:
    """Buckets are cumulative, and a time equal to a bound is within it."""
    for seconds in (0.0, 0.001, 0.0011, 31.0):
        requests.ended(("Ping", 200), seconds)
    found = series(requests)
    bucket = 'patchcord_request_seconds_bucket{{action="Ping",le="{}"}}'.format
    assert [found[bucket(le)] for le in ("0.001", "0.0025", "30.0", "+Inf")] == [2, 3, 3, 4]


def test_finer_durations_are_not_exposed() -> None:
    """The last hour has more buckets; those of the page, and its cost, stay as they are."""
    texts = []
    for fine in (None, FINE_SECONDS):
        about = {"subject": ("chain",), "outcome": "status", "bounds": LONG_SECONDS, "fine": fine}
        runs: Outcomes[str] = Outcomes("run", ("Runs.", "Seconds."), **about)  # type: ignore[arg-type]
        for seconds in (0.0, 0.001, 0.0012, 0.3, 0.5, 0.51, 1e9):
            runs.ended(("main", "done"), seconds)
        registry = CollectorRegistry()
        registry.register(runs)
        texts.append(generate_latest(registry))
    assert texts[0] == texts[1]
    assert [len(each.counts) for each in runs.durations.values()] == [len(FINE_SECONDS) + 1]
    assert set(LONG_SECONDS) < set(FINE_SECONDS)


@pytest.mark.parametrize("name", ["Pong", "", None, 7, ["Ping"], {"Ping": 1}])
def test_callers_make_no_series(name: object, requests: Requests) -> None:
    """Unknown actions are counted under one label."""
    requests.ended((name, 404), 0.0)
    assert series(requests)['patchcord_requests_total{action="unknown",code="404"}'] == 1


@pytest.mark.parametrize("code", [0, -1, 99, 600, 10**9])
def test_actions_make_few_series(code: int, requests: Requests) -> None:
    """An action may answer with any number; those that are no HTTP status are one series."""
    requests.ended(("Ping", code), 0.0)
    assert series(requests)['patchcord_requests_total{action="Ping",code="0"}'] == 1


def test_the_page_names_every_metric() -> None:
    """Its table has every family of the registry with type, labels and words, and no others."""
    rows = re.findall(r"^\| `(patchcord_\w+)` \| (\w+) \| (.*?) ?\| (.*) \|$", PAGE, re.MULTILINE)
    told = {name: (kind, what) for name, kind, _, what in rows}
    ours = [f for f in REGISTRY.collect() if f.name.startswith("patchcord_")]
    assert told == {f.name: (f.type, f.documentation) for f in ours}


def test_the_page_names_every_label() -> None:
    """The labels in its table are those that the metrics were declared with."""
    rows = re.findall(r"^\| `(patchcord_\w+)` \| \w+ \| (.*?) ?\|", PAGE, re.MULTILINE)
    told = {name: tuple(re.findall(r"\w+", labels)) for name, labels in rows}
    declared: dict[str, tuple[str, ...]] = {}
    for metric in vars(metrics).values():
        if isinstance(metric, Outcomes):
            declared[f"{metric._name}s"] = (*metric._subject, metric._outcome)
            declared[f"{metric._name}_seconds"] = metric._subject
        elif isinstance(metric, Tally):
            declared[metric._name] = metric._labels
        elif isinstance(metric, MetricWrapperBase) and not metric._labelvalues:
            declared[metric._name] = metric._labelnames
    assert declared == told


def test_numbers_of_several_processes_are_added() -> None:
    """A series that two have is one series; one that only one has stays as it is."""
    [family] = added_up(counters(ann=1, bob=2), counters(ann=4), [])
    assert {s.labels["who"]: s.value for s in family.samples} == {"ann": 5, "bob": 2}
    assert (family.name, family.type, family.documentation) == ("x", "counter", "Some x.")


def counters(**values: float) -> list[Metric]:
    """One family with a sample for each value."""
    family = CounterMetricFamily("x", "Some x.", labels=("who",))
    for who, value in values.items():
        family.add_metric((who,), value, created=1.0)
    return [family]
