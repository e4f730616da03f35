"""The causes of failed runs in Postgres: counts that outlive the dead letters and their replay.

Written with the history of runs, in the same transaction (`core.db.runs`), and only for runs that
were not recorded before, so that a batch that is written twice is counted once.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from core.db.tables import CauseRecord
from core.observability.failure_cause import OTHER, FailureCause, causes_of_run
from core.observability.storable_text import LONGEST, storable_json, text_of
from schemas.operator.failures import RecordedCause

MOST = 10_000
"""Causes that are kept apart; failures of further ones are counted as `other`."""

# Sorted by the key, so two replicas that write the same causes cannot deadlock.
_WRITE = text("""
INSERT INTO failure_causes AS known (fingerprint, step, type, message, config_hash, chain,
    first_seen, last_seen, count, example, error)
SELECT fingerprint, step, type, message, config_hash, chain, first_seen, last_seen, count, example,
    error
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS row (fingerprint text, step text, type text,
    message text, config_hash text, chain text, first_seen timestamptz, last_seen timestamptz,
    count bigint, example uuid, error text)
ORDER BY fingerprint
ON CONFLICT (fingerprint) DO UPDATE SET
    first_seen = least(known.first_seen, excluded.first_seen),
    last_seen = greatest(known.last_seen, excluded.last_seen),
    count = known.count + excluded.count,
    chain = excluded.chain, example = excluded.example, error = excluded.error,
    message = excluded.message
""")
_FORGET = text(
    "UPDATE failure_causes SET example = NULL, error = NULL WHERE example = CAST(:vcon AS uuid)"
)
_FORGET_MESSAGES = text(
    "UPDATE failure_causes SET message = '' WHERE fingerprint = ANY(CAST(:fingerprints AS text[]))"
)


def write_causes(session: Session, runs: Sequence[Mapping[str, Any]], new: Set[str]) -> None:
    """Count the failures of the runs of a batch whose ids are in `new`."""
    by_id = {str(run.get("run_id")).lower(): run for run in runs}
    fresh = {each: run for each, run in by_id.items() if each in new}
    rows = _rows(list(fresh.values()))
    if not rows:
        return
    known = set(
        session.scalars(select(CauseRecord.fingerprint).where(CauseRecord.fingerprint.in_(rows)))
    )
    room = MOST - (session.scalar(select(func.count()).select_from(CauseRecord)) or 0)
    unknown = [each for each in rows if each not in known and each != OTHER]
    for each in unknown[max(room, 0) :]:
        _add(rows, OTHER, rows.pop(each) | asdict(FailureCause(OTHER, "", "", "", "")))
    session.execute(_WRITE, {"rows": storable_json(list(rows.values())).decode()})


def _rows(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for run in sorted(runs, key=lambda each: str(each.get("finished_at") or "")):
        at = run.get("finished_at")
        if at is None:
            continue
        for cause, error in causes_of_run(run):
            is_storage = cause.step.startswith("storage ")
            row = {
                **asdict(cause),
                "chain": run["chain"],
                "first_seen": at,
                "last_seen": at,
                "count": 1,
                "example": run["vcon_out"] if is_storage else run["vcon_in"],
                "error": text_of(error or "", LONGEST),
            }
            _add(rows, cause.fingerprint, row)
    return rows


def _add(rows: dict[str, dict[str, Any]], fingerprint: str, row: dict[str, Any]) -> None:
    """Add one failure that is later than those before it."""
    before = rows.get(fingerprint)
    if before is not None:
        row["first_seen"] = before["first_seen"]
        row["count"] += before["count"]
    rows[fingerprint] = row


def read_causes(session: Session, fingerprints: Sequence[str]) -> dict[str, RecordedCause]:
    """What is recorded of these causes, by fingerprint."""
    columns = CauseRecord.fingerprint, CauseRecord.first_seen, CauseRecord.count
    rows = session.execute(select(*columns).where(CauseRecord.fingerprint.in_(fingerprints)))
    return {row[0]: RecordedCause(first_seen=row[1], count=row[2]) for row in rows}


def forget_example(session: Session, vcon_uuid: str) -> None:
    """Remove a vCon that is erased, and its error, where it is the example; the counts stay."""
    session.execute(_FORGET, {"vcon": vcon_uuid})


def forget_messages(session: Session, runs: Sequence[Mapping[str, Any]]) -> None:
    """Remove the messages of the causes of runs whose vCons are erased; the counts stay.

    A message has marks in the place of numbers and addresses, but names as they are. The next
    failure of the same cause writes it again.
    """
    found = {cause.fingerprint for run in runs for cause, _ in causes_of_run(run)}
    session.execute(_FORGET_MESSAGES, {"fingerprints": sorted(found)})
