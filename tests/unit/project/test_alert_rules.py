"""`deploy/prometheus/`: each alert has a test in which promtool makes it fire, and a command."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.command_line import read
from devstack.servers.prometheus import promtool
from tests.integration.support.missing import missing
from tests.unit.project.promql_names import unknown_names
from tests.unit.support.source_files import ROOT

RULES = ROOT / "deploy/prometheus/patchcord.rules.yml"
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
}
CALM = 60
"""Minutes at the beginning of each test in which all is well."""
JOB = 'job="patchcord",instance="a"'


def series(name: str, calm: str, broken: str, labels: str = "") -> dict[str, str]:
    """A series of one replica, a sample a minute: it is calm for an hour, then broken."""
    every = f"{name}{{{JOB}{',' if labels else ''}{labels}}}"
    return {"series": every, "values": f"{calm}x{CALM} {broken}x180"}


def rising(name: str, *labels: str, before: int = 0, then: int = 60) -> dict[str, str]:
    """A counter with so many more each minute."""
    start = before * CALM
    return series(name, f"0+{before}", f"{start}+{then}", ",".join(labels))


RUNS = "patchcord_runs_total"
CASES: dict[str, tuple[int, list[dict[str, str]]]] = {
    "PatchcordReplicaDown": (3, [series("up", "1", "0")]),
    "PatchcordNotJoined": (
        4,
        [series("patchcord_joined", "1", "0"), rising("patchcord_reconnects_total", then=4)],
    ),
    "PatchcordJoinRefused": (
        7,
        [
            rising("patchcord_joins_refused_total", then=0),
            rising("patchcord_connections_refused_total", then=1),
        ],
    ),
    "PatchcordTokenExpires": (
        1,
        [series("patchcord_token_expires_timestamp_seconds", "900000", "600000")],
    ),
    "PatchcordRequestsRefused": (7, [rising("patchcord_requests_refused_total", 'reason="full"')]),
    "PatchcordHttpErrors": (
        15,
        [
            rising("patchcord_http_requests_total", 'status="503"', then=10),
            rising("patchcord_http_requests_total", 'status="201"', before=60),
        ],
    ),
    "PatchcordStuckThreads": (16, [series("patchcord_stuck_threads", "0", "2")]),
    "PatchcordFewFilesLeft": (
        11,
        [series("process_open_fds", "100", "900"), series("process_max_fds", "1000", "1000")],
    ),
    "PatchcordNothingMoves": (
        21,
        [
            series("patchcord_ingress_depth", "5", "5", 'list="in"'),
            rising(RUNS, 'status="done"', 'chain="main"', before=60, then=0),
        ],
    ),
    "PatchcordBacklogGrows": (
        62,
        [
            series("patchcord_ingress_depth", "0", "0+60", 'list="in"'),
            rising(RUNS, 'status="done"', 'chain="main"', before=60),
        ],
    ),
    "PatchcordChainFails": (
        15,
        [
            rising(RUNS, 'status="failed"', 'chain="main"', then=20),
            rising(RUNS, 'status="done"', 'chain="main"', before=60),
        ],
    ),
    "PatchcordStorageFails": (
        15,
        [
            rising("patchcord_storages_total", 'outcome="failed"', 'storage="s3"', then=20),
            rising("patchcord_storages_total", 'outcome="ok"', 'storage="s3"', before=60),
        ],
    ),
    "PatchcordDeadLetters": (3, [series("patchcord_dead_letters", "4", "4+1", 'list="DLQ:in"')]),
    "PatchcordChainBroken": (3, [series("patchcord_chain_broken", "0", "1", 'chain="main"')]),
    "PatchcordWorkersDie": (8, [rising("patchcord_worker_deaths_total", then=1)]),
    "PatchcordWorkerStalled": (3, [series("patchcord_workers_stalled", "0", "1")]),
    "PatchcordSuspectsWait": (31, [series("patchcord_suspects", "0", "1", 'list="in"')]),
    "PatchcordUnreadList": (31, [series("patchcord_unread_depth", "0", "7", 'list="old"')]),
    "PatchcordEgressNotRead": (
        75,
        [series("patchcord_egress_depth", "0", "10000+60", 'list="out"')],
    ),
    "PatchcordWrongKeys": (16, [rising("patchcord_failed_keys_total", then=30)]),
    "PatchcordRedisLostData": (3, [series("patchcord_redis_losses_total", "0", "1")]),
    "PatchcordRedisKeyUnusable": (6, [series("patchcord_unusable_keys", "0", "1", 'key="in"')]),
    "PatchcordHistoryWaits": (16, [series("patchcord_run_history_waiting", "10", "2000")]),
    "PatchcordHistoryDropped": (2, [series("patchcord_run_history_dropped_total", "0", "9")]),
}


def firing(minute: int, alerts: list[str]) -> dict[str, Any]:
    """The alerts that fire in a minute, and no others."""
    samples = [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in alerts]
    query = 'count by (alertname) (ALERTS{alertstate="firing"})'
    return {"expr": query, "eval_time": f"{minute}m", "exp_samples": samples}


@pytest.fixture(scope="module")
def tool() -> Path:
    """promtool; without it the test is skipped, or fails in CI."""
    return promtool() or missing(
        "there is no promtool here; `python -m devstack.servers.prometheus` says why"
    )


def test_each_alert_fires_for_its_cause_alone(tool: Path, tmp_path: Path) -> None:
    """None does in the hour before, and no other one with it."""
    assert CASES.keys() == ALERTS.keys()
    tests = [
        {
            "interval": "1m",
            "input_series": given,
            "promql_expr_test": [firing(CALM - 1, []), firing(CALM + minutes, [alert])],
        }
        for alert, (minutes, given) in CASES.items()
    ]
    (tmp_path / "tests.yml").write_text(
        json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests})
    )
    command = [tool, "test", "rules", tmp_path / "tests.yml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_expression_names_what_is_measured() -> None:
    """Its metrics, labels and their values are those of the service, also where promtool is not."""
    assert {alert: unknown_names(rule["expr"]) for alert, rule in ALERTS.items()} == {
        alert: set() for alert in ALERTS
    }


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_says_what_to_do(alert: str) -> None:
    """What happened, why it may, and a command of the service."""
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}
    program, entrypoint, *arguments = rule["annotations"]["runbook"].split()
    assert (program, entrypoint) == ("python", "entrypoint.py")
    assert read(arguments).name == arguments[0]  # ends the test for one that there is not
