"""Reports of current steps: which runs are reported, and that the reports go with their runs."""

from __future__ import annotations

import time

from redis import Redis

from pipeline.config.parser import Chain
from pipeline.plugins.loader import Plugins
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.queues import Claim
from pipeline.runs.run_state import RunState, fresh_run
from pipeline.worker.step_reports import REPORT_AFTER, StepReports


def a_run(run_id: str, lasts: float) -> RunState:
    """A run that was claimed so many seconds ago."""
    live = fresh_run(Claim("in", "v", "v", run_id, token=1), Chain("main"), Plugins(), "w", "")
    live.began = time.monotonic() - lasts
    return live


async def test_of_many_runs_only_those_that_last_are_reported(
    redis: RedisConnection, client: Redis
):
    """A run that has not lasted costs no command, although another one lasts."""
    live = {"old": a_run("old", REPORT_AFTER), "young": a_run("young", -3600)}
    reports = StepReports(redis, live)
    assert reports.report()  # the young one may have to be reported soon
    assert client.keys(keys.step("*")) == [keys.step("old")]
    del live["old"]
    reports.report()
    assert client.keys(keys.step("*")) == []
