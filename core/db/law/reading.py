"""What the ledger knows of one vCon, and how far it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from core.db.database import Database
from core.db.law.endings import end_overdue

_VERSIONS: LiteralString = """
SELECT id, origin, form, chain, run_id, bytes, signers, recorded_at, prior FROM law_versions
WHERE vcon_uuid = %(vcon)s::uuid ORDER BY id LIMIT %(limit)s
"""
_AMENDED: LiteralString = """
SELECT DISTINCT vcon_uuid FROM law_versions WHERE prior = %(vcon)s::uuid ORDER BY 1 LIMIT %(limit)s
"""
_DELIVERIES: LiteralString = """
SELECT id, kind, name, chain, run_id, attempt, worker, purpose, profile, basis, begun_at, ended_at,
    outcome, error FROM law_deliveries
WHERE vcon_uuid = %(vcon)s::uuid AND id > %(after)s ORDER BY id LIMIT %(limit)s
"""
_EVENTS: LiteralString = """
SELECT seq, at, event, about, hash FROM law_events
WHERE vcon_uuid = %(vcon)s::uuid AND seq > %(after)s ORDER BY seq LIMIT %(limit)s
"""
_ERASED: LiteralString = """
SELECT (SELECT at FROM law_tombstones WHERE vcon_uuid = %(vcon)s::uuid),
    (SELECT forgotten_at FROM law_salts WHERE vcon_uuid = %(vcon)s::uuid)
"""
_STATUS: LiteralString = """
SELECT coalesce(head.seq, 0) AS events, coalesce(head.hash, '') AS head, head.at,
    (SELECT count(*) FROM law_deliveries WHERE outcome IS NULL) AS under_way,
    (SELECT min(begun_at) FROM law_deliveries WHERE outcome IS NULL) AS oldest_under_way
FROM (SELECT) AS nothing
LEFT JOIN (SELECT seq, hash, at FROM law_events ORDER BY seq DESC LIMIT 1) AS head ON true
"""
_LAST_POINTS: LiteralString = """
SELECT seq, hash, at, key, statement FROM law_checkpoints ORDER BY seq DESC LIMIT %(limit)s
"""
_DUE: LiteralString = """
SELECT head.seq, head.hash FROM (
    SELECT seq, hash FROM law_events ORDER BY seq DESC LIMIT 1
) AS head
LEFT JOIN (SELECT seq, at FROM law_checkpoints ORDER BY seq DESC LIMIT 1) AS last ON true
WHERE head.seq > coalesce(last.seq, 0) AND (head.seq - coalesce(last.seq, 0) >= %(every)s
    OR coalesce(last.at, (SELECT min(at) FROM law_events)) < now() - interval '1 day')
"""
_ADD_POINT: LiteralString = """
INSERT INTO law_checkpoints (seq, hash, at, key, statement)
VALUES (%(seq)s, %(hash)s, %(at)s, %(key)s, %(statement)s) ON CONFLICT DO NOTHING RETURNING 1
"""

type Found = list[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class CustodyFound:
    """What the ledger knows of a vCon; rows as mappings of their columns."""

    versions: Found
    amended_to: list[str]
    deliveries: Found
    events: Found
    erased_at: Any
    forgotten_at: Any

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing."""
        rows = self.versions or self.amended_to or self.deliveries or self.events
        return not rows and self.erased_at is None


class LedgerReading:
    """Reads, and keeps what is done at intervals. Every method blocks: call it in a thread.

    Every method raises `UnavailableError` when Postgres cannot be reached or is not migrated.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def custody(
        self, vcon_uuid: str, after_delivery: int, after_event: int, limit: int
    ) -> CustodyFound:
        """At most `limit` rows of each kind, with ids above these."""
        words = {"vcon": vcon_uuid, "limit": limit, "after": after_delivery}
        with self.database.session() as session:
            connection = session.connection()

            def rows(statement: LiteralString, **more: Any) -> Found:
                found = connection.exec_driver_sql(statement, words | more)
                return [dict(row) for row in found.mappings()]

            [(erased_at, forgotten_at)] = connection.exec_driver_sql(_ERASED, words).all()
            return CustodyFound(
                versions=rows(_VERSIONS),
                amended_to=[str(row["vcon_uuid"]) for row in rows(_AMENDED)],
                deliveries=rows(_DELIVERIES),
                events=rows(_EVENTS, after=after_event),
                erased_at=erased_at,
                forgotten_at=forgotten_at,
            )

    def status(self, checkpoints: int) -> tuple[Mapping[str, Any], Found]:
        """Head and open deliveries, and the last so many checkpoints, newest first."""
        with self.database.session() as session:
            connection = session.connection()
            head = connection.exec_driver_sql(_STATUS).mappings().one()
            points = connection.exec_driver_sql(_LAST_POINTS, {"limit": checkpoints}).mappings()
            return dict(head), [dict(row) for row in points]

    def due(self, every: int) -> tuple[int, str] | None:
        """Number and hash of the head, if a checkpoint is due: every so many events, or a day."""
        with self.database.session() as session:
            row = session.connection().exec_driver_sql(_DUE, {"every": every}).one_or_none()
            return None if row is None else (int(row[0]), str(row[1]))

    def add_checkpoint(self, point: Mapping[str, Any]) -> bool:
        """Add one; False if another replica has added it."""
        with self.database.transaction() as session:
            found: Sequence[Any] = session.connection().exec_driver_sql(_ADD_POINT, point).all()
            return bool(found)

    def end_overdue(self) -> int:
        """See `core.db.law.endings`."""
        with self.database.transaction() as session:
            return end_overdue(session)
