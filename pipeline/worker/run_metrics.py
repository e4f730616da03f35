"""What is counted about runs, once they are over: nothing stands between a link and its call."""

import time
from collections.abc import Callable

from core.observability.metrics import LINKS, RUNS, STORAGES
from pipeline.runs.run_state import RunState, current_run


def run_fields() -> dict[str, object]:
    """Of which run and vCon a log line speaks that is written here and now."""
    live = current_run.get()
    if live is None:
        return {}
    return {"run": live.claim.run_id, "chain": live.chain.name, "vcon": live.progress.vcon}


RETRIED = "retried"
"""The status of an attempt that failed and will be repeated."""


class RunMeter:
    """Counts attempts at runs, their links and their storages."""

    def __init__(self, counted: Callable[[], None]) -> None:
        """`counted` is called after each attempt."""
        self._counted = counted

    def settled(self, live: RunState, status: str) -> None:
        """An attempt has ended and counts: nobody else has taken the run over."""
        chain = live.chain.name
        RUNS.ended((chain, status), time.monotonic() - live.began)
        for step in live.steps[live.resumed :]:
            of_its_kind = LINKS if step["kind"] == "link" else STORAGES
            of_its_kind.ended((chain, step["name"], step["outcome"]), step["seconds"])
        self._counted()
