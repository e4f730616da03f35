"""The panels of the Grafana dashboard, row by row.

`$job` is the dashboard's choice of jobs. Depths are read by every replica from the one Redis:
`max`, where what each process counts is added up.
"""

from collections.abc import Sequence
from dataclasses import dataclass

HERE = 'job=~"$job"'
RATE = "[$__rate_interval]"


@dataclass(frozen=True)
class Panel:
    """A panel: what it asks Prometheus, each query with the legend of its lines."""

    title: str
    queries: Sequence[tuple[str, str]]
    description: str
    unit: str = "short"
    width: int = 8
    kind: str = "timeseries"


def _rate(metric: str, labels: str, *by: str) -> str:
    """A counter's increase a minute."""
    where = f"{HERE}, {labels}" if labels else HERE
    return f"60 * sum by ({', '.join(by)}) (rate({metric}_total{{{where}}}{RATE}))"


def _quantile(share: float, metric: str, by: str) -> str:
    buckets = f"sum by (le, {by}) (rate({metric}_bucket{{{HERE}}}{RATE}))"
    return f"histogram_quantile({share}, {buckets})"


def _time_of(metric: str, *by: str) -> str:
    """Seconds of work a second."""
    return f"sum by ({', '.join(by)}) (rate({metric}_sum{{{HERE}}}{RATE}))"


def _depth(metric: str, by: str = "list") -> str:
    return f"max by ({by}) ({metric}{{{HERE}}})"


def _shown(metric: str) -> tuple[tuple[str, str], ...]:
    return ((f"sum({metric}{{{HERE}}})", ""),)


MOVING = (
    Panel(
        "vCons in per minute",
        ((_rate("patchcord_vcons_received", "", "list", "outcome"), "{{list}} {{outcome}}"),),
        "By list; `duplicate` was there already and made no work.",
    ),
    Panel(
        "Attempts ended per minute",
        ((_rate("patchcord_runs", "", "chain", "status"), "{{chain}} {{status}}"),),
        "By chain; `retried` comes again.",
    ),
    Panel(
        "Waiting in ingress lists",
        ((_depth("patchcord_ingress_depth"), "{{list}}"),),
        "The suspects among them wait for a process of their own.",
    ),
    Panel(
        "In flight",
        (
            (f"max(patchcord_vcons_in_flight{{{HERE}}})", "vCons"),
            (f"sum(patchcord_workers{{{HERE}}})", "workers"),
        ),
        "vCons that a run works on, on all replicas, beside the worker processes.",
    ),
    Panel(
        "Time of a run",
        (
            (_quantile(0.5, "patchcord_run_seconds", "chain"), "{{chain}} p50"),
            (_quantile(0.95, "patchcord_run_seconds", "chain"), "{{chain}} p95"),
        ),
        "How long an attempt takes.",
        "s",
    ),
    Panel(
        "Waiting in egress lists",
        ((_depth("patchcord_egress_depth"), "{{list}}"),),
        "vCons that their reader has not taken yet.",
    ),
)
FAILURES = (
    Panel(
        "Failures per minute",
        (
            (_rate("patchcord_links", 'outcome="failed"', "chain", "link"), "{{chain}} {{link}}"),
            (
                _rate("patchcord_storages", 'outcome="failed"', "chain", "storage"),
                "{{chain}} {{storage}}",
            ),
        ),
        "Of links and storages. `python entrypoint.py failures` has their causes.",
    ),
    Panel(
        "Dead letters",
        ((_depth("patchcord_dead_letters"), "{{list}}"),),
        "vCons given up, until they are replayed.",
    ),
    Panel(
        "Suspects and unread lists",
        (
            (_depth("patchcord_suspects"), "suspects of {{list}}"),
            (_depth("patchcord_unread_depth"), "unread {{list}}"),
        ),
        "vCons that may have killed a worker, and ids in lists that no chain reads.",
    ),
)
TIME = (
    Panel(
        "Where the time goes",
        (
            (_time_of("patchcord_link_seconds", "chain", "link"), "{{chain}} {{link}}"),
            (_time_of("patchcord_storage_seconds", "chain", "storage"), "{{chain}} {{storage}}"),
        ),
        "Seconds that each step works in a second, retries included.",
        "s",
        12,
    ),
    Panel(
        "Slowest steps, p95",
        (
            (_quantile(0.95, "patchcord_link_seconds", "chain, link"), "{{chain}} {{link}}"),
            (
                _quantile(0.95, "patchcord_storage_seconds", "chain, storage"),
                "{{chain}} {{storage}}",
            ),
        ),
        "How long a step takes, retries included.",
        "s",
        12,
    ),
)
REQUESTS = (
    Panel(
        "Requests per minute",
        (
            (_rate("patchcord_requests", "", "action", "code"), "{{action}} {{code}}"),
            (_rate("patchcord_http_requests", "", "route", "status"), "{{route}} {{status}}"),
        ),
        "Of the Plugboard by action, of the HTTP API by route.",
        width=12,
    ),
    Panel(
        "Time to the answer, p95",
        (
            (_quantile(0.95, "patchcord_request_seconds", "action"), "{{action}}"),
            (_quantile(0.95, "patchcord_http_request_seconds", "route"), "{{route}}"),
        ),
        "From receipt to the answer.",
        "s",
        12,
    ),
    Panel(
        "Refused and dropped per minute",
        (
            (_rate("patchcord_requests_refused", "", "reason"), "refused: {{reason}}"),
            (_rate("patchcord_dropped", "", "reason"), "dropped: {{reason}}"),
        ),
        "Requests without room, past their time, or not understood.",
        width=12,
    ),
    Panel(
        "Wrong keys per minute",
        ((_rate("patchcord_failed_keys", "", "outcome"), "{{outcome}}"),),
        "Requests with a key that opens nothing.",
        width=12,
    ),
)
REPLICAS = (
    Panel("Replicas joined", _shown("patchcord_joined"), "At the Plugboard.", width=4, kind="stat"),
    Panel("Workers", _shown("patchcord_workers"), "That run.", width=4, kind="stat"),
    Panel(
        "Workers stalled",
        _shown("patchcord_workers_stalled"),
        "That run but make no progress.",
        width=4,
        kind="stat",
    ),
    Panel(
        "Token expires in",
        (
            (
                f"min(patchcord_token_expires_timestamp_seconds{{{HERE}}} > 0) - time()",
                "",
            ),
        ),
        "The Plugboard's token that is used first to expire.",
        "s",
        4,
        "stat",
    ),
    Panel(
        "Runs waiting for Postgres",
        ((f"max(patchcord_run_history_waiting{{{HERE}}})", ""),),
        "Records of finished runs that are in Redis only.",
        width=4,
        kind="stat",
    ),
    Panel(
        "Redis lost its data",
        ((f"max(increase(patchcord_redis_losses_total{{{HERE}}}[1d]))", ""),),
        "Times within a day.",
        width=4,
        kind="stat",
    ),
    Panel(
        "Memory",
        ((f"process_resident_memory_bytes{{{HERE}}}", "{{instance}}"),),
        "Of each service process, without its workers.",
        "bytes",
    ),
    Panel(
        "Workers that ended unasked",
        ((f"increase(patchcord_worker_deaths_total{{{HERE}}}[1h])", "{{instance}}"),),
        "Within an hour.",
    ),
    Panel(
        "Connection to the Plugboard per minute",
        (
            (_rate("patchcord_reconnects", "", "instance"), "{{instance}} tried again"),
            (_rate("patchcord_joins_refused", "", "instance"), "{{instance}} join refused"),
            (_rate("patchcord_connections_refused", "", "instance"), "{{instance}} refused (403)"),
            (_rate("patchcord_heartbeats_missed", "", "instance"), "{{instance}} heartbeat missed"),
        ),
        "None of these occurs while all is well.",
    ),
)
ROWS: Sequence[tuple[str, Sequence[Panel]]] = (
    ("Is it moving", MOVING),
    ("Failures", FAILURES),
    ("Where the time goes", TIME),
    ("Requests and partners", REQUESTS),
    ("Replicas and stores", REPLICAS),
)
