"""Causes of failed runs as rows: counted once for each run, bounded, pruned by age."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from core.db import failure_causes
from core.db.runs import RunHistory
from core.db.vcon_index import VconIndexRows
from core.observability.failure_cause import OTHER, cause_of

if TYPE_CHECKING:
    from core.db.database import Database

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def failed(error: str = "OSError: port 1", minutes: int = 0, **changes: Any) -> dict[str, Any]:
    """One run that failed in a link."""
    at, vcon = (NOON + timedelta(minutes=minutes)).isoformat(), str(uuid4())
    step = {"name": "tag", "kind": "link", "outcome": "failed", "seconds": 0, "error": error}
    names = {"run_id": str(uuid4()), "chain": "main", "vcon_in": vcon, "vcon_out": vcon}
    told = {"status": "failed", "error": error, "steps": [step], "config_hash": "c0ffee"}
    return names | told | {"attempts": 1, "finished_at": at} | changes


def rows(database: Database) -> dict[str, Any]:
    """The rows by their message."""
    with database.session() as session:
        found = session.execute(text("SELECT * FROM failure_causes")).mappings().all()
    return {row["message"] or row["fingerprint"]: row for row in found}


@pytest.fixture
def history(migrated: Database) -> RunHistory:
    """The history of runs in that database."""
    return RunHistory(migrated)


def test_failures_are_counted_by_cause(history: RunHistory, migrated: Database) -> None:
    """With the first and the last time, and the last vCon as an example."""
    last = failed("OSError: port 3", 9)
    history.write_runs([last, failed(), failed("ValueError: bad")])
    history.write_runs([failed("OSError: port 2", 5)])
    row = rows(migrated)["port <n>"]
    cause = cause_of("link", "tag", "OSError: port 1", "c0ffee")
    assert (row["fingerprint"], row["step"], row["type"]) == (
        cause.fingerprint,
        "link tag",
        "OSError",
    )
    assert (row["count"], row["chain"]) == (3, "main")
    assert (row["first_seen"], row["last_seen"]) == (NOON, NOON + timedelta(minutes=9))
    assert set(rows(migrated)) == {"port <n>", "bad"}
    recorded = history.recorded_causes([cause.fingerprint, "unknown"])
    assert {each: known.count for each, known in recorded.items()} == {cause.fingerprint: 3}


def test_a_batch_that_is_written_twice(history: RunHistory, migrated: Database) -> None:
    """Two replicas move the same batch, and a batch may name a run twice."""
    run = failed()
    for batch in ([run], [run, run], [run | {"run_id": run["run_id"].upper()}, failed()]):
        history.write_runs(batch)
    assert rows(migrated)["port <n>"]["count"] == 2


def test_runs_that_did_not_fail(history: RunHistory, migrated: Database) -> None:
    """They have no cause; a partial one has one for each storage, with what the links made."""
    stored = {"kind": "storage", "seconds": 0, "error": "OSError: full"}
    steps = [
        stored | {"name": "s3", "outcome": "failed"},
        stored | {"name": "files", "outcome": "ok"},
    ]
    partial = failed(status="partial", error=None, steps=steps, vcon_out=str(uuid4()))
    history.write_runs([failed(status="done"), failed(status="cancelled"), partial])
    [row] = rows(migrated).values()
    assert (row["step"], str(row["example"])) == ("storage s3", partial["vcon_out"])


@pytest.mark.parametrize("steps", [5, [], [5], [{"outcome": "failed", "name": {}, "kind": 7}]])
def test_records_of_another_shape(history: RunHistory, migrated: Database, steps: Any) -> None:
    """What another program has put into the history does not stop the batch."""
    history.write_runs([failed(steps=steps, error="ValueError: \x00\ud800<b>"), failed()])
    assert sum(row["count"] for row in rows(migrated).values()) == 2


def test_causes_beyond_the_bound(
    history: RunHistory, migrated: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are counted together; those that are known go on being counted apart."""
    monkeypatch.setattr(failure_causes, "MOST", 3)
    history.write_runs([failed("OSError: a"), failed("OSError: b")])
    history.write_runs([failed(f"OSError: {each}") for each in ("a", "c", "d", "e")])
    history.write_runs([failed("OSError: f")])
    counts = {name: row["count"] for name, row in rows(migrated).items()}
    assert (len(counts), counts["a"], counts[OTHER]) == (4, 2, 3)


def test_old_causes_and_examples(history: RunHistory, migrated: Database) -> None:
    """A cause goes with its last run; an example goes when its vCon is erased."""
    run = failed("OSError: new", finished_at=datetime.now(UTC).isoformat())
    history.write_runs([failed("OSError: old"), run])
    history.prune_runs(1)
    VconIndexRows(migrated).erase(run["vcon_in"], NOON)
    [row] = rows(migrated).values()
    assert (row["message"], row["example"], row["error"], row["count"]) == ("new", None, None, 1)
