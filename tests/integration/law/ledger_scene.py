"""A ledger in Postgres: deliveries that begin, runs that end, and a superuser who changes rows."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from core.db.database import Database
from core.db.law.checking import LedgerRows
from core.db.law.deliveries import Deliveries, NewDelivery, NewVersion
from core.db.law.endings import end_overdue
from core.db.runs import RunHistory
from core.run_ids import new_run_id
from pipeline.ledger.verification import LedgerReport, verify

AT = datetime(2026, 11, 30, 12, tzinfo=UTC).isoformat()


def digest_of(text: str) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


class Ledger:
    """Writes as workers and the history do."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.deliveries = Deliveries(database)
        self.history = RunHistory(database)

    def execute(self, statements: str) -> list[Any]:
        """Run SQL; the rows of the last statement, if it has any."""
        with self.database.transaction() as session:
            result = session.connection().exec_driver_sql(statements)
            return [tuple(row) for row in result.all()] if result.returns_rows else []

    def as_superuser(self, statements: str) -> None:
        """Run SQL without the triggers that refuse changes."""
        self.execute(f"SET LOCAL session_replication_role = replica; {statements}")

    def found_after(self, statements: str) -> list[str]:
        """What a check finds after a superuser has run SQL, which is undone afterwards."""
        with self.database.session() as session:
            connection = session.connection()
            connection.exec_driver_sql(
                f"SET LOCAL session_replication_role = replica; {statements}"
            )

            class Changed(LedgerRows):
                def _rows(self, statement: str, **words: Any) -> Any:
                    return connection.exec_driver_sql(statement, words).all()

            return verify(Changed(self.database)).findings

    def begin(self, vcon: str, run_id: str, *names: str, text: str | None = None) -> list[Any]:
        """Deliveries to storages of these names, with the vCon's version if it has a text."""
        version = None
        if text is not None:
            version = NewVersion(
                vcon, "received", "unsigned", len(text), digest_of(text), "main", run_id
            )
        return self.deliveries.begin(
            [
                NewDelivery(
                    vcon,
                    "storage",
                    name,
                    digest_of(text or ""),
                    chain="main",
                    run_id=run_id,
                    version=version if name == names[0] else None,
                )
                for name in names
            ]
        )

    def end(self, vcon: str, run_id: str, ended: list[Any], **changes: Any) -> dict[str, Any]:
        """Record the end of a run that tells these outcomes; returns its record."""
        run = {
            "run_id": run_id,
            "chain": "main",
            "vcon_in": vcon,
            "vcon_out": vcon,
            "status": "done",
            "attempts": 1,
            "steps": [],
            "config_hash": "",
            "finished_at": AT,
            "law": {"digest": "", "versions": [], "ended": ended},
        } | changes
        self.history.write_runs([run])
        return run

    def a_run(self, *names: str) -> str:
        """A vCon that storages of these names got; its uuid."""
        vcon, run_id = str(uuid4()), new_run_id()
        ids = self.begin(vcon, run_id, *names, text=vcon)
        self.end(vcon, run_id, [[each, "ok", None, AT] for each in ids])
        return vcon

    def end_overdue(self) -> int:
        """What the housekeeping does."""
        with self.database.transaction() as session:
            return end_overdue(session)

    def verified(self, kept: tuple[int, str] | None = None) -> LedgerReport:
        """What a check finds."""
        return verify(LedgerRows(self.database), kept)

    def events(self) -> list[tuple[str, str]]:
        """Event and what it is about, in order."""
        return self.execute("SELECT event, about FROM law_events ORDER BY seq")
