"""Whose a vCon is, in Postgres: a lineage of partners' keys, or we ourselves.

Redis decides who brings a uuid in, in one step; a row is what outlives Redis. A claim makes a row
that is not confirmed: it keeps other partners out until Redis has decided, and gives way to that.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Select, exists, or_, select, text

from core.db.database import Database
from core.db.tables import RunRecord

OURS = UUID(int=0)
"""The owner of what came in by our own doors, or in a way that no key was asked for."""

type Claim = Literal["new", "mine", "foreign", "seen", "unknown"]
"""`seen`: runs have worked on it, so it is foreign unless Redis knows that it is this lineage's.
`unknown` while Postgres cannot say."""

# A row that is there is locked and told as it is.
_CLAIM = text("""
INSERT INTO vcon_owners AS known (vcon_uuid, lineage, created_at, confirmed)
VALUES (:vcon_uuid, :lineage, now(), false)
ON CONFLICT (vcon_uuid) DO UPDATE SET lineage = known.lineage
RETURNING lineage, confirmed, xmax = 0 AS made
""")

# In the order of the keys, so that two replicas with the same rows in hand cannot deadlock.
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
    """Owners as rows; every method blocks and belongs in a thread.

    Every method raises `UnavailableError` when Postgres cannot be reached or is not migrated.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, vcon_uuid: UUID, lineage: UUID) -> Claim:
        """Whose a vCon is: `mine` or `foreign` for certain; else Redis has to decide.

        One that runs have worked on without an owner came in by another door, and is foreign.
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
        """Undo a claim whose vCon was not taken in; one that was confirmed stays."""
        with self._database.transaction() as session:
            session.execute(_RELEASE, {"vcon_uuid": vcon_uuid, "lineage": lineage})

    def confirm(self, owners: Mapping[str, UUID]) -> None:
        """Write down who has brought vCons in, by uuid. What was confirmed before stays."""
        told = json.dumps({vcon_uuid: str(owner) for vcon_uuid, owner in owners.items()})
        with self._database.transaction() as session:
            session.execute(_CONFIRM, {"owners": told})


def _seen_in_runs(vcon_uuid: UUID) -> Select[Any]:
    came_in, came_out = RunRecord.vcon_in == vcon_uuid, RunRecord.vcon_out == vcon_uuid
    return select(or_(exists().where(came_in), exists().where(came_out)))
