"""Each cause is found from the facts, names the likely reason, and tells a command."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.destinations.states import State
from pipeline.operator.numbers.banner import COMMAND, Calls, Facts, causes_of, level_of
from schemas.operator.replicas import Drain, Replica
from schemas.operator.status import (
    MOST_CAUSES,
    ChainFlow,
    ErasureCounts,
    ListCount,
    PostgresStatus,
    RedisStatus,
)

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
HOSTILE = "\x1b[31m\n$(reboot) `x` <b>[red]" + "x" * 5000 + "\ud800"


def replica(**changes: Any) -> Replica:
    """A replica in order."""
    about: dict[str, Any] = {
        "id": "host:1:1",
        "kind": "serve",
        "host": "host",
        "age": 1.0,
        "workers": ["a", "b"],
        "slots": 64,
        "config_hash": "one",
        "joined": True,
        "token_expires_at": NOW + timedelta(days=30),
        "last_seen": NOW,
    }
    return Replica(**about | changes)


WELL = Facts(
    now=NOW,
    chains=[ChainFlow(name="main", trend="steady", out_per_minute=9, in_flight=2)],
    replicas=[replica(), replica(id="host:2:1")],
    redis=RedisStatus(used_bytes=10, most_bytes=100),
    postgres=PostgresStatus(history_limit=1000),
    calls=[Calls("storage", "", "s3", ok=100, failed=1), Calls("link", "main", "tag", 0, 2)],
    disk_free_share=0.5,
    hash_here="one",
)


def chain(**changes: Any) -> list[ChainFlow]:
    """The chains, one of them in trouble."""
    return [ChainFlow(**{"name": "main"} | changes)]


CASES: list[tuple[str, str, dict[str, Any], str]] = [
    ("yellow", "erasures_overdue", {"erasures": ErasureCounts(open=2, overdue=1)}, "erasure list"),
    ("red", "redis_away", {"redis": RedisStatus(reachable=False, error="gone")}, "check"),
    (
        "red",
        "destination_open",
        {"destinations": {"there": State(open_for=9.0, waiting=3), "well": State()}},
        "destinations",
    ),
    ("yellow", "broken", {"chains": chain(broken="no module", trend="disabled")}, "check"),
    ("red", "broken", {"chains": chain(broken="x", trend="disabled", waiting=1)}, "check"),
    ("red", "redis_json", {"redis": RedisStatus(has_json=False)}, "docs/operations.md#redis"),
    ("red", "redis_memory", {"redis": RedisStatus(used_bytes=96, most_bytes=100)}, "redis-cli"),
    ("yellow", "redis_memory", {"redis": RedisStatus(used_bytes=85, most_bytes=100)}, "#redis"),
    ("yellow", "redis_settings", {"redis": RedisStatus(warnings=["may lose vCons"])}, "#redis"),
    ("red", "redis_settings", {"redis": RedisStatus(warnings=["cannot write a snapshot"])}, ""),
    ("red", "foreign_key", {"redis": RedisStatus(unusable={"pc:locks": "pc:locks is no"})}, "ren"),
    ("red", "no_replica", {"replicas": []}, "serve"),
    ("red", "no_worker", {"replicas": [replica(slots=0)], "chains": chain(waiting=3)}, "replicas"),
    ("yellow", "no_worker", {"replicas": [replica(slots=0)]}, "replicas"),
    ("yellow", "replica_silent", {"replicas": [replica(age=7), replica()]}, "replicas"),
    ("yellow", "drained", {"replicas": [replica(drained=Drain(until=NOW))]}, "undrain host:1:1"),
    ("red", "postgres_away", {"postgres": PostgresStatus(error="refused")}, "check"),
    ("yellow", "postgres_lag", {"postgres": PostgresStatus(history_waiting=9, history_limit=99)},
     "slow-or-locked"),
    ("red", "postgres_lag", {"postgres": PostgresStatus(history_waiting=60, history_limit=99)},
     "slow-or-locked"),
    ("yellow", "disk", {"disk_free_share": 0.09}, "df"),
    ("red", "disk", {"disk_free_share": 0.01}, "df"),
    ("yellow", "not_joined", {"replicas": [replica(joined=False), replica()]}, "check"),
    ("red", "not_joined", {"replicas": [replica(joined=False), replica(joined=None)]}, "check"),
    ("yellow", "token", {"replicas": [replica(token_expires_at=NOW + timedelta(hours=9))]},
     "the-token"),
    ("red", "token", {"replicas": [replica(token_expires_at=NOW)]}, "the-token"),
    ("red", "storage_failing", {"calls": [Calls("storage", "", "s3", 2, 2)]},
     "failures --storage s3"),
    ("red", "link_failing", {"calls": [Calls("link", "main", "tag", 0, 3)]}, "failures"),
    ("yellow", "paused", {"chains": chain(trend="paused", paused_until=NOW, pause_reason="r")},
     "resume main"),
    ("yellow", "disabled", {"chains": chain(trend="disabled", waiting=1)}, "enabled: 1"),
    ("red", "stuck", {"chains": chain(trend="stuck", waiting=1)}, "replicas"),
    ("yellow", "growing", {"chains": chain(trend="growing", waiting=100, in_flight=64)},
     "slow --since 1h"),
    ("yellow", "slow_runs",
     {"chains": chain(trend="steady", in_flight=1, waiting=1, oldest_seconds=601)}, "running"),
    ("yellow", "failures", {"chains": chain(failed=1)}, "failures"),
    ("yellow", "dead_letters", {"dead_letters": [ListCount(name="DLQ:in", count=20_000)]},
     "failures"),
    ("yellow", "configurations", {"replicas": [replica(), replica(config_hash="two")]}, "replicas"),
    ("yellow", "configuration_file", {"hash_here": "two"}, "check"),
    ("yellow", "notes", {"replicas": [replica(notes_count=2, notes=["a"])]}, "check"),
]  # fmt: skip


def test_when_all_is_well_there_is_no_cause() -> None:
    """Green; some failures, an idle chain, a disabled empty one and an API process are well."""
    api = replica(kind="api", joined=None, token_expires_at=None, stopping=True)
    chains = [*WELL.chains, *chain(trend="disabled"), *chain(trend="growing", waiting=99)]
    for facts in (WELL, replace(WELL, replicas=[*WELL.replicas, api], chains=chains)):
        assert (causes_of(facts), level_of(causes_of(facts))) == ([], "green")


@pytest.mark.parametrize(("level", "code", "changes", "command"), CASES)
def test_each_cause(level: str, code: str, changes: dict[str, Any], command: str) -> None:
    """It is the only one, has the level, and says what to do."""
    causes = causes_of(replace(WELL, **changes))
    assert [(cause.level, cause.code) for cause in causes] == [(level, code)]
    assert command in causes[0].command
    assert level_of(causes) == level


@pytest.mark.parametrize(
    ("failed", "codes"), [(3, ["failures"]), (2, ["failures", "dead_letters"])]
)
def test_dead_letters_that_failed_runs_left(failed: int, codes: list[str]) -> None:
    """They are told once, unless there are more of them than runs failed in the last hour."""
    lists = [ListCount(name="DLQ:in", count=2), ListCount(name="DLQ:storage:s3", count=1)]
    causes = causes_of(replace(WELL, chains=chain(failed=failed), dead_letters=lists))
    assert [cause.code for cause in causes] == codes


def test_the_red_ones_are_first() -> None:
    """The list is bounded, and its head is the cause that explains the others."""
    facts = Facts(
        NOW,
        chains=[*chain(failed=1), *chain(trend="stuck", waiting=5)] * 100,
        replicas=[replica(age=9)],
        redis=RedisStatus(has_json=False),
    )
    causes = causes_of(facts)
    assert len(causes) == MOST_CAUSES
    assert causes[0].code == "redis_json"
    levels = [cause.level for cause in causes]
    assert levels == sorted(levels)
    assert level_of(causes) == "red"


def test_no_name_forges_a_line_or_a_command() -> None:
    """Names of other programs are shown on one line, bounded, and quoted for the shell."""
    facts = Facts(
        NOW,
        chains=chain(name=HOSTILE, trend="paused", failed=2, pause_reason=HOSTILE[:300]),
        replicas=[replica(id=HOSTILE[:300].replace("\ud800", ""), drained=Drain(), age=99)],
        redis=RedisStatus(unusable={HOSTILE: HOSTILE}, warnings=[HOSTILE]),
        calls=[Calls("storage", HOSTILE, HOSTILE, 0, 9)],
        dead_letters=[ListCount(name=HOSTILE, count=3)],
    )
    causes = causes_of(facts)
    assert len(causes) == 8
    for cause in causes:
        told = cause.model_dump_json()
        assert "\\n" not in told.replace("\\\\n", "")
        assert len(told) < 1500
        assert "\x1b" not in cause.text + cause.command + cause.subject
        if cause.command.startswith(COMMAND):
            assert cause.command == shlex.join(shlex.split(cause.command))
