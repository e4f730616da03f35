"""Owners of vCons in Postgres: a lineage of ingress keys, or the service itself.

Redis decides in one script which request creates a uuid; the row in Postgres outlives the data in
Redis. A claim makes a row that is not confirmed. It excludes other partners until Redis has
decided, and is replaced by that decision.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import text

from core.db.database import Database

OURS = UUID(int=0)
"""The owner of vCons that came in by the internal API, or without a key."""

type Claim = Literal["new", "mine", "foreign", "seen", "unknown"]
"""`seen`: there are runs of the vCon, so it is foreign unless Redis has this lineage as its owner.
`unknown`: Postgres is unavailable."""

# An existing row is locked and returned unchanged. Sorted, so two replicas cannot deadlock.
_CLAIM = text("""
INSERT INTO vcon_owners AS known (vcon_uuid, lineage, created_at, confirmed)
SELECT key::uuid, value::uuid, now(), false
FROM jsonb_each_text(CAST(:owners AS jsonb)) ORDER BY key
ON CONFLICT (vcon_uuid) DO UPDATE SET lineage = known.lineage
RETURNING vcon_uuid, lineage, confirmed, xmax = 0 AS made
""")

# Sorted by the key, so two replicas that write the same rows cannot deadlock.
_CONFIRM = text("""
INSERT INTO vcon_owners AS known (vcon_uuid, lineage, created_at, confirmed)
SELECT key::uuid, value::uuid, now(), true
FROM jsonb_each_text(CAST(:owners AS jsonb)) ORDER BY key
ON CONFLICT (vcon_uuid) DO UPDATE SET lineage = excluded.lineage, confirmed = true
WHERE NOT known.confirmed
""")

_SEEN = text("""
SELECT wanted FROM unnest(CAST(:uuids AS uuid[])) AS wanted
WHERE EXISTS (SELECT FROM chain_runs WHERE vcon_in = wanted)
   OR EXISTS (SELECT FROM chain_runs WHERE vcon_out = wanted)
""")

_UNDO = text("DELETE FROM vcon_owners WHERE vcon_uuid = ANY(CAST(:uuids AS uuid[]))")

_RELEASE = text("""
DELETE FROM vcon_owners WHERE vcon_uuid = :vcon_uuid AND lineage = :lineage AND NOT confirmed
""")


class VconOwners:
    """Owners as rows. Every method blocks: call it in a thread.

    Every method raises `UnavailableError` when Postgres cannot be reached or is not migrated.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, wanted: Mapping[UUID, UUID]) -> dict[UUID, Claim]:
        """Claim vCons, each for a lineage; `mine` and `foreign` are final, otherwise Redis decides.

        A vCon with runs and without an owner came in by another way, and is foreign.
        """
        with self._database.transaction() as session:
            owners = session.execute(_CLAIM, {"owners": _as_json(wanted)}).all()
            unsure = [each.vcon_uuid for each in owners if not each.confirmed]
            seen = set(session.scalars(_SEEN, {"uuids": unsure}) if unsure else ())
            undone = [each.vcon_uuid for each in owners if each.made and each.vcon_uuid in seen]
            if undone:
                session.execute(_UNDO, {"uuids": undone})
        claims: dict[UUID, Claim] = {}
        for owner in owners:
            vcon_uuid = owner.vcon_uuid
            if owner.lineage != wanted[vcon_uuid] or vcon_uuid in undone:
                claims[vcon_uuid] = "foreign"
            elif owner.confirmed:
                claims[vcon_uuid] = "mine"
            else:
                claims[vcon_uuid] = "seen" if vcon_uuid in seen else "new"
        return claims

    def release(self, vcon_uuid: UUID, lineage: UUID) -> None:
        """Undo a claim whose vCon was refused; a confirmed one stays."""
        with self._database.transaction() as session:
            session.execute(_RELEASE, {"vcon_uuid": vcon_uuid, "lineage": lineage})

    def confirm(self, owners: Mapping[str, UUID]) -> None:
        """Confirm owners by the uuid of the vCon. Rows confirmed before stay."""
        with self._database.transaction() as session:
            session.execute(_CONFIRM, {"owners": _as_json(owners)})


def _as_json(owners: Mapping[Any, UUID]) -> str:
    return json.dumps({str(vcon_uuid): str(owner) for vcon_uuid, owner in owners.items()})
