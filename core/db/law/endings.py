"""The outcomes of deliveries and the events of a run, written with the run's history.

A run tells them in its record, in the member `law` (`pipeline/ledger/run_ledger.py`), which the
row of the history does not have. The statements may be repeated: the lock is taken before the
chain is read, and a row that has its event gets no second one. Salts are added before the lock is
taken, as `deliveries.py` does: a transaction may wait there for one that waits for the lock.
"""

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

from sqlalchemy.orm import Session

from core.db.law.chain import CHAIN_LOCK, DELIVERY_DIGEST
from core.db.law.deliveries import ADD_SALTS, ADD_VERSIONS, salts_for, versions_parameter
from core.observability.storable_text import storable_json

MEMBER = "law"
"""Of the record of a run."""
OVERDUE_DAYS = 7
"""Days after which a delivery without an outcome gets `unknown`: its run was lost with Redis."""
_OUTCOMES: LiteralString = """
UPDATE law_deliveries AS known SET outcome = told.outcome, error = told.error, ended_at = told.at
FROM jsonb_to_recordset(%(outcomes)s::jsonb) AS told (
    id bigint, run_id uuid, outcome text, error text, at timestamptz
)
WHERE known.id = told.id AND known.run_id = told.run_id AND known.outcome IS NULL
"""
_UNKNOWN: LiteralString = """
UPDATE law_deliveries SET outcome = 'unknown', ended_at = now()
WHERE run_id = ANY (%(ended_runs)s::uuid[]) AND outcome IS NULL
"""
_OVERDUE: LiteralString = """
UPDATE law_deliveries SET outcome = 'unknown', ended_at = now()
WHERE outcome IS NULL AND begun_at < now() - make_interval(days => %(days)s) RETURNING run_id
"""
_EVENTS: LiteralString = f"""
INSERT INTO law_events (event, vcon_uuid, about, digest, commitment)
SELECT 'vcon_sent', vcon_uuid, 'delivery:' || id, {DELIVERY_DIGEST}, commitment
FROM law_deliveries WHERE run_id = ANY (%(ended_runs)s::uuid[]) AND outcome IS NOT NULL
    AND NOT EXISTS (SELECT FROM law_events WHERE about = 'delivery:' || law_deliveries.id)
ORDER BY id
"""  # noqa: S608 -- constant texts
_EXPIRED: LiteralString = """
INSERT INTO law_events (event, vcon_uuid, about)
SELECT 'vcon_expired', vcon_uuid, 'run:' || run_id
FROM jsonb_to_recordset(%(expired)s::jsonb) AS row (run_id uuid, vcon_uuid uuid)
WHERE NOT EXISTS (SELECT FROM law_events AS known WHERE known.about = 'run:' || run_id)
ORDER BY run_id
"""
ENDINGS = (ADD_SALTS, CHAIN_LOCK, ADD_VERSIONS, _OUTCOMES, _UNKNOWN, _EVENTS, _EXPIRED)
"""What the transaction of a batch ends with, if some of its runs told something."""
_EXPIRY = "LawfulBasisExpiredError"


def endings(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The parameters of `ENDINGS`; None if no run has ended that tells something.

    What cannot be read is left out: another program may have written the record.
    """
    ended = [run for run in runs if run.get(MEMBER) and run.get("finished_at")]
    told = [(run, notes) for run in ended if (notes := _read(run)) is not None]
    if not told:
        return None
    versions = [version for _, (found, _) in told for version in found]
    expired = [
        {"run_id": run["run_id"], "vcon_uuid": run["vcon_out"]}
        for run, _ in told
        if run["status"] == "withheld" and str(run.get("error")).startswith(_EXPIRY)
    ]
    return {
        **salts_for(version["vcon_uuid"] for version in versions),
        "versions": versions_parameter(versions),
        "ended_runs": [run["run_id"] for run, _ in told],
        "outcomes": storable_json([each for _, (_, some) in told for each in some]).decode(),
        "expired": storable_json(expired).decode(),
    }


def _read(run: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]] | None:
    """The versions and outcomes that a run tells; None if they cannot be read."""
    names = "id", "outcome", "error", "at"
    try:
        versions = [
            {**each, "vcon_uuid": str(each["vcon_uuid"])} for each in run[MEMBER]["versions"]
        ]
        outcomes = [
            dict(zip(names, each, strict=True), run_id=run["run_id"])
            for each in run[MEMBER]["ended"]
        ]
    except (KeyError, TypeError, ValueError):
        return None
    return versions, outcomes


def write_endings(session: Session, runs: Sequence[Mapping[str, Any]]) -> None:
    """Write what runs tell; the last that the caller's transaction does."""
    if (parameters := endings(runs)) is not None:
        for statement in ENDINGS:
            session.connection().exec_driver_sql(statement, parameters)


def end_overdue(session: Session, days: int = OVERDUE_DAYS) -> int:
    """Give deliveries whose runs have been lost the outcome `unknown`; how many."""
    session.connection().exec_driver_sql(CHAIN_LOCK)
    rows = session.connection().exec_driver_sql(_OVERDUE, {"days": days}).scalars().all()
    if runs := sorted({str(run_id) for run_id in rows if run_id is not None}):
        session.connection().exec_driver_sql(_EVENTS, {"ended_runs": runs})
    return len(rows)
