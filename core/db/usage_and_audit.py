"""Usage of ingress keys, audit events, and pruning of old rows, in Postgres."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text

from core.db.custody import Custody
from core.db.database import Database
from core.db.identity import Identities
from core.db.ingress_keys import IngressKeys, count_uses
from core.db.law.bases import Bases
from core.db.law.deliveries import Deliveries
from core.db.law.erasures import ErasureRows
from core.db.law.places import PlaceRows
from core.db.law.reading import LedgerReading
from core.db.law.traces import LawTraces
from core.db.settlements import Settlements
from core.db.tables import AuditRecord, IngressKeyRecord, UsageRecord
from core.db.vcon_index import VconIndexRows
from core.db.vcon_owners import VconOwners
from core.observability.storable_text import storable, storable_text
from schemas.ingress_key import AuditEvent, Author, Usage

MOST_USAGE = 1000
"""Rows of usage in one answer."""


@dataclass(slots=True)
class Used:
    """Uses of a key since the last write; `refused` counts by reason.

    `last` is the time of the last use.
    """

    last: datetime
    accepted: int = 0
    bytes: int = 0
    refused: dict[str, int] = field(default_factory=dict)


_ADD_USAGE = text("""
INSERT INTO ingress_usage AS known (key_id, day, accepted, refused, bytes)
VALUES (:key_id, :day, :accepted, CAST(:refused AS jsonb), :bytes)
ON CONFLICT (key_id, day) DO UPDATE SET
    accepted = known.accepted + excluded.accepted,
    bytes = known.bytes + excluded.bytes,
    refused = (
        SELECT coalesce(jsonb_object_agg(reason, total), '{}') FROM (
            SELECT reason, sum(count::bigint) AS total
            FROM (SELECT * FROM jsonb_each_text(known.refused)
                  UNION ALL SELECT * FROM jsonb_each_text(excluded.refused)) AS each (reason, count)
            GROUP BY reason
        ) AS sums
    )
""")

_PRUNE = {
    "vcon_owners": "vcon_uuid IN (SELECT vcon_uuid FROM vcon_owners WHERE created_at < {limit} "
    "LIMIT :batch FOR UPDATE SKIP LOCKED)",
    "ingress_usage": "(key_id, day) IN (SELECT key_id, day FROM ingress_usage "
    "WHERE day < {limit} LIMIT :batch FOR UPDATE SKIP LOCKED)",
    "audit_events": "id IN (SELECT id FROM audit_events WHERE at < {limit} "
    "LIMIT :batch FOR UPDATE SKIP LOCKED)",
    "ingress_keys": "id IN (SELECT id FROM ingress_keys WHERE secret_sha256 <> ALL(:configured) "
    "AND (revoked_at < {limit} OR expires_at < {limit}) LIMIT :batch FOR UPDATE SKIP LOCKED)",
    "tokens": "id IN (SELECT id FROM tokens WHERE deleted_at < {limit} OR expires_at < {limit} "
    "LIMIT :batch FOR UPDATE SKIP LOCKED)",
    "services": "id IN (SELECT id FROM services WHERE deleted_at < {limit} "
    "LIMIT :batch FOR UPDATE SKIP LOCKED)",
}
_LIMIT = "now() - make_interval(days => :days)"


class UsageAndAudit:
    """Usage and audit events as rows. Every method blocks: call it in a thread.

    Every method raises `UnavailableError` when Postgres cannot be reached or is not migrated.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_usage(self, day: date, used: Mapping[UUID, Used]) -> None:
        """Add uses of keys on a day, in one transaction."""
        with self._database.transaction() as session:
            for key_id, each in sorted(used.items()):
                row = {"key_id": key_id, "day": day, "accepted": each.accepted}
                row |= {"bytes": each.bytes, "refused": json.dumps(each.refused)}
                session.execute(_ADD_USAGE, row)
            uses = {
                key_id: (each.accepted + sum(each.refused.values()), each.last)
                for key_id, each in used.items()
            }
            count_uses(session, uses)

    def usage(
        self,
        key_id: UUID | None,
        ingress_list: str | None,
        since: date | None,
        most: int = MOST_USAGE,
    ) -> list[Usage]:
        """Usage of one key, of the keys of a list, or of all keys; the latest day first."""
        key = IngressKeyRecord
        statement = select(UsageRecord, key.ingress_list).outerjoin(
            key, key.id == UsageRecord.key_id
        )
        if key_id is not None:
            statement = statement.where(UsageRecord.key_id == key_id)
        if ingress_list is not None:
            statement = statement.where(key.ingress_list == ingress_list)
        if since is not None:
            statement = statement.where(UsageRecord.day >= since)
        statement = statement.order_by(UsageRecord.day.desc(), UsageRecord.key_id).limit(most)
        with self._database.session() as session:
            return [
                Usage(
                    key_id=row.key_id,
                    ingress_list=name,
                    day=row.day,
                    accepted=row.accepted,
                    refused=row.refused,
                    bytes=row.bytes,
                )
                for row, name in session.execute(statement)
            ]

    def audit(self, action: str, author: Author, target: str, detail: Mapping[str, Any]) -> None:
        """Write one audit event."""
        event = AuditRecord(
            at=datetime.now(UTC),
            action=action,
            ref=author.ref,
            actor=author.actor,
            target=storable_text(target),
            detail=storable(detail),
        )
        with self._database.transaction() as session:
            session.add(event)

    def events(
        self,
        since: datetime | None,
        before: int | None,
        limit: int,
        target: str | None = None,
    ) -> list[AuditEvent]:
        """Audit events, newest first; `before`: with a smaller id; `target`: about that."""
        statement = select(AuditRecord).order_by(AuditRecord.id.desc()).limit(limit)
        if target is not None:
            statement = statement.where(AuditRecord.target == target)
        if since is not None:
            statement = statement.where(AuditRecord.at >= since)
        if before is not None:
            statement = statement.where(AuditRecord.id < before)
        with self._database.session() as session:
            rows = session.scalars(statement)
            return [AuditEvent.model_validate(row, from_attributes=True) for row in rows]

    def prune(
        self, days: Mapping[str, int], configured: Sequence[str] = (), batch: int = 1000
    ) -> int:
        """Delete rows older than the given number of days, by table; 0 deletes none.

        Returns the number of rows. Keys with `configured` hashes are kept even if not valid: the
        row of a revoked key prevents that `sync` creates it again. Each batch is a transaction and
        skips rows locked by other writers.
        """
        limits = {"batch": batch, "configured": list(configured)}
        return sum(
            self._prune(table, limits | {"days": kept}) for table, kept in days.items() if kept > 0
        )

    def _prune(self, table: str, limits: Mapping[str, Any]) -> int:
        which = _PRUNE[table].format(limit=_LIMIT)
        statement = text(f"DELETE FROM {table} WHERE {which} RETURNING 1")  # noqa: S608 -- constant names
        total, pruned = 0, limits["batch"]
        while pruned == limits["batch"]:
            with self._database.transaction() as session:
                session.execute(text("SET LOCAL patchcord.pruning = 'on'"))
                pruned = len(session.execute(statement, limits).all())
            total += pruned
        return total


class PartnerRecords:
    """The rows about partners: their `keys`, the `owners` of vCons, and the `ledger` of use.

    `index` finds vCons by their parties; `custody` has those that are accepted and not stored yet,
    `identities` which Redis was last seen. `law` is the ledger of where vCons went; `erasures`,
    `places`, `law_traces`, `bases` and `deliveries` are of the law, too.
    """

    def __init__(self, database: Database) -> None:
        self.keys = IngressKeys(database)
        self.owners = VconOwners(database)
        self.ledger = UsageAndAudit(database)
        self.index = VconIndexRows(database)
        self.custody = Custody(database)
        self.settlements = Settlements(database)
        self.identities = Identities(database)
        self.erasures = ErasureRows(database)
        self.places = PlaceRows(database)
        self.law_traces = LawTraces(database)
        self.bases = Bases(database)
        self.law = LedgerReading(database)
        self.deliveries = Deliveries(database)
