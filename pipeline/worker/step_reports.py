"""Reports of the current step of each run, written to Redis by a thread of its own.

The checkpoint is written after slow steps only, so it does not name the step in progress. The
report does, also while a link blocks the event loop. Runs that end within `REPORT_AFTER` seconds
are not reported, so quick chains send no commands for it, however many vCons pass at once.
"""

import logging
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import batched
from typing import Any

import orjson

from core.errors import UnavailableError
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.runs import plan
from pipeline.runs.run_state import RunState

log = logging.getLogger(__name__)

REPORT_AFTER = 0.25
"""Seconds from the claim of a run until its first report."""
LOOK_EVERY = 0.5
"""Seconds between two reports, and so the age of a report at most."""
STOP_SECONDS = 1.0
"""Seconds that `stop` waits for the thread, which may wait for Redis."""
AT_ONCE = 100
"""Reports that share a message to Redis."""
REPORT_EXPIRY = 3600
"""Seconds until the report of a dead worker expires; living workers renew theirs."""


class StepReports:
    """Reports the current steps of a worker's runs."""

    def __init__(self, connection: RedisConnection, live: Mapping[str, RunState]) -> None:
        """`live` has the runs by their ids. Nothing is reported before `start`."""
        self._connection = connection
        self._live = live
        self._reported: dict[str, tuple[str, float]] = {}
        self.entered = threading.Event()
        """To be set when a run was added to `live`."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="step reports", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Report nothing more, and delete the reports of runs that have ended."""
        self._stopping.set()
        self.entered.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def _work(self) -> None:
        while not self._stopping.is_set():
            self.entered.wait(LOOK_EVERY if self._live or self._reported else None)
            self.entered.clear()
            self._stopping.wait(REPORT_AFTER)
            try:
                if self.report():
                    self.entered.set()
            except UnavailableError:
                log.debug("step report skipped: Redis unavailable")
            except Exception:  # one bad report must not end the thread
                log.exception("step report failed")

    def report(self) -> bool:
        """Report the runs that have lasted for `REPORT_AFTER`; True if there are younger ones.

        Raises:
            UnavailableError: Redis cannot be reached.
        """
        now, monotonic = datetime.now(UTC), time.monotonic()
        live, texts = dict(self._live), dict[str, str]()
        old = {run: each for run, each in live.items() if monotonic - each.began >= REPORT_AFTER}
        for run_id, each in old.items():
            text, (known, at) = step_report(each, now), self._reported.get(run_id, ("", 0.0))
            if text != known or monotonic - at > REPORT_EXPIRY / 2:
                texts[run_id] = text
        ended = self._reported.keys() - live.keys()
        self._send(
            [
                *(
                    ("SET", keys.step(run), text, "EX", REPORT_EXPIRY)
                    for run, text in texts.items()
                ),
                *(("DEL", keys.step(run)) for run in ended),
            ]
        )
        self._reported.update((run_id, (text, monotonic)) for run_id, text in texts.items())
        for run_id in ended:
            del self._reported[run_id]
        return len(old) < len(live)

    def _send(self, commands: list[tuple[Any, ...]]) -> None:
        for some in batched(commands, AT_ONCE):
            if self._connection.commands_from_thread(*some) is None:
                raise UnavailableError("Redis did not take the step reports")


def step_report(live: RunState, now: datetime) -> str:
    """The claim's token, a line break, and `schemas.run.StepReport` as JSON; constant in a step."""
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
