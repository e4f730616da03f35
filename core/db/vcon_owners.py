"""Owners of vCons in Postgres: a lineage of ingress keys, or the service itself.

Redis decides in one script which request creates a uuid; the row in Postgres outlives the data in
Redis. A claim makes a row that is not confirmed. It excludes other partners until Redis has
decided, and is replaced by that decision.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Select, exists, or_, select, text

from core.db.database import Database
from core.db.tables import RunRecord

OURS = UUID(int=0)
"""The owner of vCons that came in by the internal API, or without a key."""

type Claim = Literal["new", "mine", "foreign", "seen", "unknown"]
"""`seen`: there are runs of the vCon, so it is foreign unless Redis has this lineage as its owner.
`unknown`: Postgres is unavailable."""

# An existing row is locked and returned unchanged.
_CLAIM = text("""
INSERT INTO vcon_owners AS known (vcon_uuid, lineage, created_at, confirmed)
VALUES (:vcon_uuid, :lineage, now(), false)
ON CONFLICT (vcon_uuid) DO UPDATE SET lineage = known.lineage
RETURNING lineage, confirmed, xmax = 0 AS made
""")

# Sorted by the key, so two replicas that write the same rows cannot deadlock.
_CONFIRM = text("""
INSERT INTO vcon_owners AS known (vcon_uuid, lineage, created_at, confirmed)
SELECT key::uuid, value::uuid, now(), true
FROM jsonb_each_text(CAST(:owners AS jsonb)) ORDER BY key
ON CONFLICT (vcon_uuid) DO UPDATE SET lineage = excluded.lineage, confirmed = true
WHERE NOT known.confirmed
""")

_RELEASE = text("""
DELETE FROM vcon_owners WHERE vcon_uuid = :vcon_uuid AND lineage = :lineage AND NOT confirmed
""")


class VconOwners:
    """Owners as rows. Every method blocks: call it in a thread.

    Every method raises `UnavailableError` when Postgres cannot be reached or is not migrated.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, vcon_uuid: UUID, lineage: UUID) -> Claim:
        """Claim a vCon for a lineage; `mine` and `foreign` are final, otherwise Redis decides.

        A vCon with runs and without an owner came in by another way, and is foreign.
        """
        wanted = {"vcon_uuid": vcon_uuid, "lineage": lineage}
        with self._database.transaction() as session:
            owner = session.execute(_CLAIM, wanted).one()
            seen = not owner.confirmed and session.scalar(_seen_in_runs(vcon_uuid))
            if owner.made and seen:
                session.rollback()
                return "foreign"
        if owner.lineage != lineage:
            return "foreign"
        if owner.confirmed:
            return "mine"
        return "seen" if seen else "new"

    def release(self, vcon_uuid: UUID, lineage: UUID) -> None:
        """Undo a claim whose vCon was refused; a confirmed one stays."""
        with self._database.transaction() as session:
            session.execute(_RELEASE, {"vcon_uuid": vcon_uuid, "lineage": lineage})

    def confirm(self, owners: Mapping[str, UUID]) -> None:
        """Confirm owners by the uuid of the vCon. Rows confirmed before stay."""
        rows = json.dumps({vcon_uuid: str(owner) for vcon_uuid, owner in owners.items()})
        with self._database.transaction() as session:
            session.execute(_CONFIRM, {"owners": rows})


def _seen_in_runs(vcon_uuid: UUID) -> Select[Any]:
    came_in, came_out = RunRecord.vcon_in == vcon_uuid, RunRecord.vcon_out == vcon_uuid
    return select(or_(exists().where(came_in), exists().where(came_out)))
