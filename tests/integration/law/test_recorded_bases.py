"""Bases recorded beside the vCons: whose they are, which is in force, and their events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.db.database import Database
from core.db.law.bases import EVERY_PURPOSE, Bases, NewBasis
from core.errors import GoneError
from pipeline.config.law import BasisPolicy
from pipeline.law.basis.evaluation import evaluate
from pipeline.ledger.recorded_bases import MOST_ADDRESSES, Address, RecordedBases
from tests.integration.stored.stored_scene import index_of
from tests.integration.support.pipeline_fixtures import new_uuid, postgres_calls

NOW = datetime.now(UTC)
NUMBER = "+12015550123"
PARTIES = [{"tel": "tel:(201) 555-0123"}, {"mailto": "Ann@Example.com", "name": "Ann"}]


def recorded_bases(database: Database, **settings: Any) -> RecordedBases:
    """As a service with these settings has them."""
    return RecordedBases(Bases(database), index_of(database, **settings), postgres_calls())


def new(subject: str, *, granted: bool = True, hours: float = 1, **members: Any) -> NewBasis:
    """A basis given some hours ago, for a vCon if the subject is a uuid, else for a party."""
    is_vcon = subject.count("-") == 4
    told = {
        "vcon_uuid": subject if is_vcon else None,
        "party": None if is_vcon else subject,
        "purpose": "transcription",
        "granted": granted,
        "basis": "consent",
        "granted_at": NOW - timedelta(hours=hours),
        "expires_at": None,
        "actor": "test",
        "ref": None,
    }
    return NewBasis(**{**told, **members})


async def error(bases: RecordedBases, vcon_uuid: str, parties: Any = PARTIES, **policy: Any) -> Any:
    """The error for a vCon without any basis of its own."""
    records = await bases.of(vcon_uuid, parties)
    document = {"uuid": vcon_uuid, "parties": parties, "dialog": [], "attachments": []}
    return evaluate(document, "transcription", NOW, BasisPolicy(**policy), records).error


async def test_a_basis_counts_for_its_vcon_only(migrated: Database) -> None:
    """The newest by the time it was given is in force, of equally new ones the denial."""
    bases, one, other = recorded_bases(migrated), new_uuid(), new_uuid()
    await bases.add(new(one))
    assert await error(bases, one) is None
    assert await error(bases, other) == "LawfulBasisMissingError"
    await bases.add(new(one, granted=False, hours=2))
    assert await error(bases, one) is None
    await bases.add(new(one, granted=False, hours=1))
    assert await error(bases, one) == "PermissionDeniedError"
    await bases.add(new(one, hours=0.5))
    assert await error(bases, one) is None
    await bases.add(new(one, granted=False, hours=0, purpose=EVERY_PURPOSE))
    assert await error(bases, one) == "PermissionDeniedError"


@pytest.mark.parametrize(
    ("name", "written", "party"),
    [("tel", "201-555-0123", 0), ("tel", NUMBER, 0), ("mailto", "mailto:ann@EXAMPLE.com", 1)],
)
async def test_a_basis_counts_for_a_person_however_written(
    migrated: Database, name: Address, written: str, party: int
) -> None:
    """It is for the party that has the number or address, in every vCon, and for no other."""
    bases = recorded_bases(migrated)
    kept, _ = await bases.hashed(name, written)
    assert written not in kept
    await bases.add(new(kept))
    [record] = await bases.of(new_uuid(), PARTIES)
    assert (record.party, record.granted) == (party, True)
    assert await error(bases, new_uuid(), scope="each") == "LawfulBasisMissingError"
    assert await error(bases, new_uuid(), [{"tel": "+12015550199"}, 7]) == "LawfulBasisMissingError"
    await bases.add(new(kept, granted=False, hours=0))
    assert await error(bases, new_uuid()) == "PermissionDeniedError"


async def test_more_addresses_than_are_looked_up(migrated: Database) -> None:
    """Denied: one of them may be that of a person who denied. Repeated ones count once."""
    bases = recorded_bases(migrated)
    kept, _ = await bases.hashed("tel", NUMBER)
    await bases.add(new(kept))
    many = [{"tel": f"+1201555{each:04}"} for each in range(MOST_ADDRESSES + 1)]
    assert await error(bases, new_uuid(), many) == "PermissionDeniedError"
    assert await error(bases, new_uuid(), [{"tel": NUMBER}] * (MOST_ADDRESSES + 1)) is None


async def test_a_worker_finds_a_denial_without_the_secret_of_the_index(
    migrated: Database,
) -> None:
    """Workers have no INDEX_SECRET; another one changes nothing either, and a grant ends it."""
    service = recorded_bases(migrated, index_secret="a-secret-of-32-characters-or-more!")
    kept, _ = await service.hashed("tel", NUMBER)
    await service.add(new(kept, granted=False))
    worker = recorded_bases(migrated)
    other = recorded_bases(
        migrated,
        index_secret="present-secret-of-32-characters!!",
        index_secrets_earlier="a-secret-of-32-characters-or-more!",
    )
    for each in (worker, other):
        assert await error(each, new_uuid()) == "PermissionDeniedError"
    later, all_forms = await other.hashed("tel", NUMBER)
    assert later == kept in all_forms
    await other.add(new(later, hours=0))
    assert await error(worker, new_uuid()) is None


async def test_a_basis_has_an_event_and_no_address(migrated: Database) -> None:
    """`vcon_consent_accepted` and `vcon_consent_revoked`, each about its row."""
    bases, one = recorded_bases(migrated), new_uuid()
    kept, _ = await bases.hashed("tel", NUMBER)
    first = await bases.add(new(one))
    second = await bases.add(new(kept, granted=False, granted_at=None))
    assert NOW - timedelta(minutes=1) < second.granted_at == second.recorded_at
    with migrated.session() as session:
        rows = session.connection().exec_driver_sql(
            "SELECT event, vcon_uuid::text, about, digest <> '' FROM law_events ORDER BY seq"
        )
        assert list(rows) == [
            ("vcon_consent_accepted", one, f"basis:{first.id}", True),
            ("vcon_consent_revoked", None, f"basis:{second.id}", True),
        ]
        text = "SELECT string_agg(row::text, '') FROM law_bases AS row"
        assert "5550123" not in session.connection().exec_driver_sql(text).scalar_one()


async def test_an_erased_vcon_gets_no_basis(migrated: Database) -> None:
    """It is gone; nothing is recorded, and there is no event."""
    bases, gone = recorded_bases(migrated), new_uuid()
    with migrated.transaction() as session:
        statement = (
            "INSERT INTO law_tombstones (vcon_uuid, number, erasure)"
            " VALUES (%(gone)s, 1, gen_random_uuid())"
        )
        session.connection().exec_driver_sql(statement, {"gone": gone})
    with pytest.raises(
        GoneError, match=f"^vCon {gone} was erased; its uuid is not accepted again$"
    ):
        await bases.add(new(gone))
    assert await bases.page(gone, (), 2**62, 9) == []
