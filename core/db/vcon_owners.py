"""Owners of vCons in Postgres: a lineage of ingress keys, or the service itself.

Redis decides in one script which request creates a uuid; the row in Postgres outlives the data in
Redis. A claim makes a row that is not confirmed. It excludes other partners until Redis has
decided, and is replaced by that decision.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal, LiteralString
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from core.db.database import Database

OURS = UUID(int=0)
"""The owner of vCons that came in by the internal API, or without a key."""

type Claim = Literal["new", "mine", "foreign", "seen", "unknown"]
"""`seen`: there are runs of the vCon, so it is foreign unless Redis has this lineage as its owner.
`unknown`: Postgres is unavailable."""

# An existing row is locked and returned unchanged. Sorted, so two replicas cannot deadlock. The
# second statement sees what others have committed while the first one waited for a lock.
_CLAIM: LiteralString = """
INSERT INTO vcon_owners AS known (vcon_uuid, lineage, created_at, confirmed)
SELECT key::uuid, value::uuid, now(), false
FROM jsonb_each_text(CAST(%(owners)s AS jsonb)) ORDER BY key
ON CONFLICT (vcon_uuid) DO UPDATE SET lineage = known.lineage
RETURNING vcon_uuid, lineage, confirmed, xmax = 0;

SELECT wanted FROM (SELECT jsonb_object_keys(CAST(%(owners)s AS jsonb))::uuid AS wanted) AS each
WHERE has_chain_runs(wanted)
"""

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

# Most vCons have a confirmed owner, and are not written.
_CONFIRM_OURS = """
WITH slice AS MATERIALIZED (
    SELECT run_id, vcon_in, vcon_out FROM {runs} WHERE run_id > CAST(:after AS uuid)
    ORDER BY run_id LIMIT {most}
), kept AS (
    INSERT INTO vcon_owners AS known (vcon_uuid, lineage, created_at, confirmed)
    SELECT vcon, CAST(:ours AS uuid), now(), true
    FROM (SELECT vcon_in AS vcon FROM slice UNION SELECT vcon_out FROM slice) AS each
    WHERE NOT EXISTS (SELECT FROM vcon_owners AS done WHERE done.vcon_uuid = vcon AND confirmed)
    ORDER BY vcon
    ON CONFLICT (vcon_uuid) DO UPDATE SET lineage = excluded.lineage, confirmed = true
    WHERE NOT known.confirmed
)
SELECT CAST(run_id AS text) FROM slice ORDER BY run_id DESC LIMIT 1
"""
_SLICE = 2000


def confirm_owners_of(session: Session, runs: str, after: str) -> str | None:
    """Make the vCons of a slice of the runs in a table the service's own, unless one has an owner.

    Returns the id of the slice's last run, `after` which the next one begins; None at the end.
    """
    statement = text(_CONFIRM_OURS.format(runs=runs, most=_SLICE))
    last: str | None = session.scalar(statement, {"ours": OURS, "after": after})
    return last


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
        owners, runs = self._database.at_once(_CLAIM, {"owners": _as_json(wanted)})
        seen = {vcon_uuid for (vcon_uuid,) in runs}
        claims: dict[UUID, Claim] = {}
        for vcon_uuid, lineage, confirmed, made in owners:
            if lineage != wanted[vcon_uuid]:
                claims[vcon_uuid] = "foreign"
            elif confirmed:
                claims[vcon_uuid] = "mine"
            elif vcon_uuid not in seen:
                claims[vcon_uuid] = "new"
            elif made:  # if this process ends here, the next claim is `seen`
                self.release(vcon_uuid, lineage)
                claims[vcon_uuid] = "foreign"
            else:
                claims[vcon_uuid] = "seen"
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
