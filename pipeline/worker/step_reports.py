"""What a worker says of the step that each of its runs is at: written by a thread of its own.

The journal of a run is written after slow steps only, so it does not say what is at work. This
report does, also while a link blocks the event loop. Runs that end within `REPORT_AFTER` seconds
are never reported, so quick chains cost nothing.
"""

import logging
import threading
import time
from datetime import UTC, datetime, timedelta

import orjson

from core.errors import UnavailableError
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.runs import plan
from pipeline.runs.run_state import RunState

log = logging.getLogger(__name__)

REPORT_AFTER = 0.05
"""Seconds from the claim of a run until its first report."""
LOOK_EVERY = 0.5
"""Seconds between two looks at the runs that go on; a report is that old at most."""
STOP_SECONDS = 1.0
"""How long `stop` waits for the thread, which Redis may hold up."""
REPORT_EXPIRY = 3600
"""Seconds until a report of a worker that died disappears; those of the living are renewed."""


class StepReports:
    """Reports the present steps of the runs between `enter` and `leave`."""

    def __init__(self, connection: RedisConnection) -> None:
        """Nothing happens until `start`."""
        self._connection = connection
        self._live: dict[str, RunState] = {}
        self._told: dict[str, tuple[str, float]] = {}
        self._entered = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="step reports", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Say nothing more, and take back what was said of runs that have ended."""
        self._stopping.set()
        self._entered.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def enter(self, live: RunState) -> None:
        """This process works on this run from now on."""
        self._live[live.claim.run_id] = live
        self._entered.set()

    def leave(self, live: RunState) -> None:
        """It does so no longer."""
        if self._live.get(live.claim.run_id) is live:
            del self._live[live.claim.run_id]

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._entered.wait(LOOK_EVERY if self._live or self._told else None)
            self._entered.clear()
            self._stopping.wait(REPORT_AFTER)
            try:
                self._report()
            except UnavailableError:
                log.debug("no step reported: Redis cannot be reached")
            except Exception:  # one bad report must not end the thread
                log.exception("step report failed")

    def _report(self) -> None:
        now, monotonic = datetime.now(UTC), time.monotonic()
        live = dict(self._live)
        for run_id, each in live.items():
            text, (told, at) = step_report(each, now), self._told.get(run_id, ("", 0.0))
            if text != told or monotonic - at > REPORT_EXPIRY / 2:
                self._connection.command_from_thread(
                    *("SET", keys.step(run_id), text, "EX", REPORT_EXPIRY)
                )
                self._told[run_id] = text, monotonic
        for run_id in self._told.keys() - live.keys():
            self._connection.command_from_thread("DEL", keys.step(run_id))
            del self._told[run_id]


def step_report(live: RunState, now: datetime) -> str:
    """The claim's token, and `schemas.run.StepReport` as JSON; the same as long as the step is."""
    move = plan.next_move(live.chain, live.progress)
    match move:
        case plan.RunLink(index):
            name, kind = live.chain.links[index].name, "link"
        case plan.Save(names):
            done = {step["name"] for step in list(live.steps) if step["kind"] == "storage"}
            name, kind = ", ".join(each for each in names if each not in done), "storage"
        case _:
            name, kind = "", ""
    report = {
        "worker": live.worker,
        "attempts": live.attempts,
        "started_at": live.started_at.isoformat(),
        "step": {"name": name, "kind": kind, "since": _since(live, now)} if name else None,
    }
    return f"{live.claim.token}\n{orjson.dumps(report).decode()}"


def _since(live: RunState, now: datetime) -> str:
    if not live.step_began:
        return live.started_at.isoformat(timespec="seconds")
    lasts = timedelta(seconds=time.perf_counter() - live.step_began)
    return (now - lasts).isoformat(timespec="milliseconds")
