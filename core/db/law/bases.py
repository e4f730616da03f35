"""Bases that were recorded beside the vCons, as rows. They are added, and never changed.

Each row has an event in the chain of the ledger, `vcon_consent_accepted` or `vcon_consent_revoked`,
also where the basis is not consent: the lifecycle draft has no other names.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import LiteralString, NamedTuple

from core.db.database import Database
from core.db.law.chain import BASIS_DIGEST, PARTY_COMMITMENT
from core.errors import GoneError

EVERY_PURPOSE = "*"
"""The purpose of a denial of all purposes."""


@dataclass(frozen=True, slots=True)
class NewBasis:
    """A basis to be recorded, for one of `vcon_uuid` and `party`, which is a keyed hash.

    `granted_at` None is the time of the record.
    """

    vcon_uuid: str | None
    party: str | None
    purpose: str
    granted: bool
    basis: str
    granted_at: datetime | None
    expires_at: datetime | None
    actor: str
    ref: str | None


class KeptBasis(NamedTuple):
    """A recorded basis; both subjects are None once its party is erased."""

    id: int
    vcon_uuid: str | None
    party: str | None
    purpose: str
    granted: bool
    basis: str
    granted_at: datetime
    expires_at: datetime | None
    recorded_at: datetime
    actor: str
    ref: str | None


_COLUMNS: LiteralString = (
    "id, vcon_uuid::text, party, purpose, granted, basis, granted_at, expires_at, recorded_at,"
    " actor, ref"
)
_ADD: LiteralString = f"""
INSERT INTO law_bases (
    vcon_uuid, party, salt, purpose, granted, basis, granted_at, expires_at, actor, ref
)
SELECT %(vcon_uuid)s::uuid, %(party)s::text,
    CASE WHEN %(granted)s::boolean AND %(party)s::text IS NOT NULL THEN gen_random_uuid()::text END,
    %(purpose)s::text, %(granted)s::boolean, %(basis)s::text,
    coalesce(%(granted_at)s::timestamptz, now()),
    %(expires_at)s::timestamptz, %(actor)s::text, %(ref)s::text
WHERE NOT EXISTS (SELECT FROM law_tombstones WHERE vcon_uuid = %(vcon_uuid)s::uuid)
RETURNING {_COLUMNS}
"""  # noqa: S608 -- constant texts
_EVENT: LiteralString = f"""
INSERT INTO law_events (event, vcon_uuid, about, digest, commitment)
SELECT CASE WHEN granted THEN 'vcon_consent_accepted' ELSE 'vcon_consent_revoked' END,
    vcon_uuid, 'basis:' || id, {BASIS_DIGEST}, coalesce({PARTY_COMMITMENT}, '')
FROM law_bases WHERE id = %(id)s
"""  # noqa: S608 -- constant texts
# Of equally new ones a denial comes first.
_IN_FORCE: LiteralString = f"""
SELECT DISTINCT ON (law_bases.vcon_uuid, party, purpose) {_COLUMNS} FROM law_bases
WHERE {{0}}
ORDER BY law_bases.vcon_uuid, party, purpose, granted_at DESC, granted
"""  # noqa: S608 -- constant texts
_OF_VCON = _IN_FORCE.format("law_bases.vcon_uuid = %(vcon_uuid)s::uuid")
_OF_PARTIES = _IN_FORCE.format("party = ANY (%(parties)s::text[])")
_HAS_PARTIES: LiteralString = "SELECT EXISTS (SELECT FROM law_bases WHERE party IS NOT NULL)"
_PAGE: LiteralString = f"""
SELECT {_COLUMNS} FROM law_bases
WHERE (law_bases.vcon_uuid = %(vcon_uuid)s::uuid OR party = ANY (%(parties)s::text[]))
    AND id < %(before)s
ORDER BY id DESC LIMIT %(limit)s
"""  # noqa: S608 -- constant texts


class Bases:
    """Writes and reads recorded bases. Every method blocks: call it in a thread.

    Every method raises `UnavailableError` when Postgres cannot be reached or is not migrated.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, new: NewBasis) -> KeptBasis:
        """Record a basis, with its event.

        Raises:
            GoneError: the vCon is erased, or is being erased.
        """
        with self._database.transaction() as session:
            connection = session.connection()
            row = connection.exec_driver_sql(_ADD, asdict(new)).one_or_none()
            if row is None:
                raise GoneError(new.vcon_uuid)
            kept = KeptBasis(*row)
            connection.exec_driver_sql(_EVENT, {"id": kept.id})
        return kept

    def of_vcon(self, vcon_uuid: str) -> tuple[list[KeptBasis], bool]:
        """Those in force for a vCon, and whether there are any for parties.

        In force is the newest for each purpose, as its text stands.
        """
        with self._database.session() as session:
            connection = session.connection()
            rows = connection.exec_driver_sql(_OF_VCON, {"vcon_uuid": vcon_uuid}).all()
            return [KeptBasis(*row) for row in rows], bool(
                connection.exec_driver_sql(_HAS_PARTIES).scalar_one()
            )

    def of_parties(self, parties: Sequence[str]) -> list[KeptBasis]:
        """Those in force for parties, by their keyed hashes."""
        with self._database.session() as session:
            rows = session.connection().exec_driver_sql(_OF_PARTIES, {"parties": list(parties)})
            return [KeptBasis(*row) for row in rows]

    def page(
        self, vcon_uuid: str | None, parties: Sequence[str], before: int, limit: int
    ) -> list[KeptBasis]:
        """All that were recorded for a vCon or a party, newest first, with ids below `before`."""
        told = {"vcon_uuid": vcon_uuid, "parties": list(parties), "before": before, "limit": limit}
        with self._database.session() as session:
            return [KeptBasis(*row) for row in session.connection().exec_driver_sql(_PAGE, told)]
