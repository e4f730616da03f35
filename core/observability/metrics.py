"""The metrics of the service.

Count at the place of the event: `EXPIRED.inc()`. The values of a label come from the configuration
or from a list in this file, never from a caller, so the number of series is bounded. Looking a
series up by its labels costs more than counting: keep the child (`DROPPED.labels("expired")`).

Events with thousands of occurrences a second use `Outcomes` or `Tally`, on the event loop only.
`docs/metrics.md` lists every metric.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import override

from prometheus_client import CollectorRegistry, Counter, Gauge

from core.observability.outcome_metrics import Outcomes, Tally
from core.observability.plugin_metrics import Attributes, PluginMetrics

__all__ = ["Attributes"]  # and every metric below

REGISTRY = CollectorRegistry()
"""The metrics of this process."""
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the buckets for the duration of a request."""
LONG_SECONDS = (0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""The bounds for runs and plugins, which may take minutes."""
STEP = 1.5
"""The largest factor between two of the `FINE_SECONDS`."""


def finer(bounds: Sequence[float]) -> tuple[float, ...]:
    """The bounds, with others between them by equal factors of at most `STEP`."""
    found = [bounds[0]]
    for low, high in pairwise(bounds):
        parts = math.ceil(round(math.log(high / low, STEP), 6))
        between = (low * (high / low) ** (part / parts) for part in range(1, parts))
        found += [*(float(f"{each:.3g}") for each in between), high]
    return tuple(found)


FINE_SECONDS = finer(LONG_SECONDS)
"""Those bounds and more, for the quantiles of the last hour; `/metrics` has `LONG_SECONDS`."""
UNKNOWN = "unknown"
"""The label of actions that this service does not have."""


class Requests(Outcomes[object]):
    """Answers by action and code, and how long they took."""

    def __init__(self) -> None:
        """Without known actions; `offer` adds them."""
        super().__init__(
            "patchcord_request",
            ("Requests answered.", "From receipt to the answer."),
            subject=("action",),
            outcome="code",
            bounds=SECONDS,
        )
        self._actions: set[str] = set()

    def offer(self, actions: Iterable[str]) -> None:
        """Count these actions under their own names."""
        self._actions.update(actions)

    @override
    def bounded(self, key: tuple[object, object]) -> tuple[object, object]:
        """`UNKNOWN` for other actions, and code 0 for codes that are no HTTP status."""
        action, code = key
        known = isinstance(action, str) and action in self._actions
        is_status = isinstance(code, int) and 100 <= code < 600
        return action if known else UNKNOWN, code if is_status else 0


def _steps(kind: str) -> Outcomes[str, str]:
    return Outcomes(
        f"patchcord_{kind}",
        (f"Times that a {kind} has run.", f"How long a {kind} takes, retries included."),
        subject=("chain", kind),
        outcome="outcome",
        bounds=LONG_SECONDS,
        fine=FINE_SECONDS,
    )


def _counter(name: str, what: str, *labels: str) -> Counter:
    return Counter(f"patchcord_{name}", what, labels, registry=REGISTRY)


def _gauge(name: str, what: str, *labels: str) -> Gauge:
    return Gauge(f"patchcord_{name}", what, labels, registry=REGISTRY)


def show(gauge: Gauge, values: Mapping[str, float]) -> None:
    """Set a gauge with one label to exactly these values, by the value of the label."""
    gauge.clear()
    for label, value in values.items():
        gauge.labels(label).set(value)


# Requests

REQUESTS = Requests()
REGISTRY.register(REQUESTS)
IN_FLIGHT = _gauge("requests_in_flight", "Requests that an action works on.")
WAITING = _gauge("requests_waiting", "Requests that wait for room.")
GIVING_WAY = _gauge("requests_giving_way", "Requests that take up no room: they wait for a run.")
STUCK_THREADS = _gauge(
    "stuck_threads", "Threads of blocking actions that outlived their deadline and still run."
)

HTTP_REQUESTS: Outcomes[str] = Outcomes(
    "patchcord_http_request",
    ("Requests of the HTTP API answered.", "From the head of the request to the answer."),
    subject=("route",),
    outcome="status",
    bounds=SECONDS,
)
REGISTRY.register(HTTP_REQUESTS)

DROPPED = _counter("dropped", "Requests not run and answers not sent.", "reason")
EXPIRED = DROPPED.labels("expired")
"""Requests past their deadline before they were run; answered with 504."""
DUPLICATE_REFS = DROPPED.labels("duplicate_ref")
"""Requests with the ref of a request in progress."""
MALFORMED = DROPPED.labels("malformed")
"""Frames that are no Phoenix message."""
WITHOUT_REF = DROPPED.labels("no_ref")
"""Requests without a ref, which cannot be answered."""
LATE_ANSWERS = DROPPED.labels("late_answer")
"""Answers kept over a reconnect until their callers' timeout."""
HANDOVER_FULL = DROPPED.labels("handover_full")
"""Answers of a leaving replica that were too large for its peers; answered with 503."""

REFUSED = _counter("requests_refused", "Requests answered with 503 without being run.", "reason")
REFUSED_FULL = REFUSED.labels("full")
"""The queue was full."""
REFUSED_STOPPING = REFUSED.labels("stopping")
"""The replica was stopping."""

# Chains

BROKEN_CHAINS = _gauge("chain_broken", "1 for a chain that is disabled as it is broken.", "chain")

# Processes

WORKERS = _gauge("workers", "Worker processes that run.")
STALLED_WORKERS = _gauge("workers_stalled", "Worker processes that run but make no progress.")
SUSPECT_WORKERS = _gauge(
    "suspect_workers", "Processes that run vCons which may have killed a worker, one at a time."
)
TASKS = _gauge("asyncio_tasks", "Tasks of the service's event loop, the idle ones included.")
WORKER_DEATHS = _counter("worker_deaths", "Worker processes that ended unasked.")

# Chains

RUNS: Outcomes[str] = Outcomes(
    "patchcord_run",
    ("Attempts at a run that have ended.", "How long an attempt takes."),
    subject=("chain",),
    outcome="status",
    bounds=LONG_SECONDS,
    fine=FINE_SECONDS,
)
LINKS, STORAGES = _steps("link"), _steps("storage")
VCONS_RECEIVED = Tally(
    "patchcord_vcons_received", "vCons put into an ingress list by an action.", "list", "outcome"
)
for _collector in (RUNS, LINKS, STORAGES, VCONS_RECEIVED):
    REGISTRY.register(_collector)
FAILED_KEYS = _counter("failed_keys", "Requests with a wrong ingress key.", "outcome")
VCONS_IN_FLIGHT = _gauge("vcons_in_flight", "vCons that a run works on, on any replica.")
PLUGINS = PluginMetrics()
REGISTRY.register(PLUGINS)
INGRESS_DEPTH = _gauge("ingress_depth", "vCons that wait in an ingress list.", "list")
INGRESS_AGE = _gauge(
    "ingress_age_seconds",
    "Since the next vCon of an ingress list was accepted; only with CUSTODY=postgres.",
    "list",
)
SUSPECTS_DEPTH = _gauge(
    "suspects", "vCons of an ingress list that wait for a process of their own.", "list"
)
EGRESS_DEPTH = _gauge("egress_depth", "vCons that wait in an egress list.", "list")
VCONS_WITHHELD = _gauge(
    "vcons_withheld", "vCons of an ingress list whose law does not allow their next step.", "list"
)
LAW_REFUSALS = _counter(
    "law_refusals",
    "Times that the law of a vCon has withheld its run.",
    "chain",
    "purpose",
    "error",
)
DEAD_LETTERS = _gauge("dead_letters", "vCons in a dead-letter list.", "list")
UNUSABLE_KEYS = _gauge(
    "unusable_keys", "1 for a key in Redis that has a type this service cannot use.", "key"
)
UNREAD_DEPTH = _gauge("unread_depth", "Ids left in a list that no chain reads.", "list")
"""The only label that is not from the configuration; only the 100 longest lists have a series."""
DESTINATION_CALLS = _counter(
    "destination_calls", "Calls of a destination that have ended.", "destination", "outcome"
)
"""`neither`: the call has told nothing of the destination, as when the plugin itself failed."""
DESTINATION_PARKED = _counter(
    "destination_parked",
    "Times that a run had to leave its worker and wait for a destination.",
    "destination",
    "reason",
)
DESTINATION_IN_FLIGHT = _gauge(
    "destination_in_flight", "Calls of a destination in flight, on any replica.", "destination"
)
DESTINATION_WAITING = _gauge(
    "destination_waiting", "Runs that wait for a destination.", "destination"
)
DESTINATION_OPEN = _gauge(
    "destination_open",
    "1 while a destination is not called because it failed repeatedly.",
    "destination",
)
CUSTODY_FALLBACKS = _counter(
    "custody_fallbacks", "vCons accepted into Redis alone because Postgres was away."
)
REDIS_LOSSES = _counter("redis_losses", "Times that Redis has come back without its data.")
RECOVERING = _gauge("recovery_under_way", "1 while Redis is being made like custody in Postgres.")
RECOVERED = _counter(
    "recovered", "What a recovery has put into Redis or taken out of it, by kind.", "kind"
)
RUN_HISTORY_WAITING = _gauge("run_history_waiting", "Finished runs that wait for Postgres.")
RUN_HISTORY_DROPPED = _counter(
    "run_history_dropped", "Finished runs given up: Postgres was away, and Redis lacked memory."
)

# The Plugboard

ANSWERS_HANDED_OVER = _counter("answers_handed_over", "Answers given to a peer after leaving.")
ANSWERS_OF_PEERS = _counter("answers_of_peers", "Answers sent for replicas that have left.")
JOINED = _gauge("joined", "1 while requests can come in.")
TOKEN_EXPIRES = _gauge(
    "token_expires_timestamp_seconds", "When the token in use expires, as Unix time; 0: not known."
)
RECONNECTS = _counter("reconnects", "Connections to the Plugboard tried after the first.")
HEARTBEATS_MISSED = _counter("heartbeats_missed", "Heartbeats the Plugboard did not answer.")
JOINS_REFUSED = _counter("joins_refused", "Joins the Plugboard refused.")
CONNECTIONS_REFUSED = _counter("connections_refused", "Connections it refused with 403.")
