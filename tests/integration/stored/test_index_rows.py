"""Rows of the index: merged, found by term and page, removed, erased, pruned."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from core.db import vcon_index
from core.db.database import Database
from core.db.vcon_index import MOST_TERMS, VconIndexRows
from schemas.stored_vcon import StoredVcon
from tests.integration.stored.stored_scene import NOON, change, rows
from tests.integration.support.pipeline_fixtures import new_uuid

__all__ = ["rows"]


def got(rows: VconIndexRows, vcon_uuid: str) -> StoredVcon | None:
    """What is known of one."""
    return rows.get([vcon_uuid]).get(vcon_uuid)


def terms_of(migrated: Database, vcon_uuid: str) -> set[str]:
    """The terms of one row."""
    with migrated.session() as session:
        found = session.scalar(
            text("SELECT terms FROM vcon_index WHERE vcon_uuid = :uuid"), {"uuid": vcon_uuid}
        )
    return set(found)


def test_runs_of_one_vcon_make_one_row(rows: VconIndexRows, migrated: Database) -> None:
    """Chains, storages and terms add up, in any order and also when repeated."""
    vcon, created = new_uuid(), NOON - timedelta(days=3)
    first = change(vcon, created_at=created, chains=["a"], storages=["s"], terms=["t"])
    second = change(vcon, 1, chains=["b"], storages=["s", "f"], terms=["u"])
    for each in (first, second, first):
        rows.write([each])
    found = got(rows, vcon)
    assert found is not None
    assert found.created_at == created
    assert (set(found.chains), set(found.storages)) == ({"a", "b"}, {"s", "f"})
    assert terms_of(migrated, vcon) == {"t", "u"}


def test_a_time_of_creation_that_is_not_known_is_that_of_the_run(rows: VconIndexRows) -> None:
    """Until a later note says it."""
    vcon = new_uuid()
    rows.write([change(vcon, chains=["a"])])
    assert getattr(got(rows, vcon), "created_at", None) == NOON
    rows.write([change(vcon, 1, chains=["a"], created_at=NOON - timedelta(days=1))])
    assert getattr(got(rows, vcon), "created_at", None) == NOON - timedelta(days=1)


def test_terms_of_a_vcon_that_is_replaced_again_and_again_are_bounded(
    rows: VconIndexRows, migrated: Database
) -> None:
    """The earlier ones stay until there are too many."""
    vcon = new_uuid()
    for start in (0, 400, 800, 1200):
        rows.write([change(vcon, start, terms=[f"t{n}" for n in range(start, start + 400)])])
    assert len(terms_of(migrated, vcon)) <= MOST_TERMS + 400
    assert "t1599" in terms_of(migrated, vcon)


def test_pages_go_on_where_the_one_before_ended(rows: VconIndexRows) -> None:
    """Newest first; the same moment is told apart by the uuid."""
    same = [change(terms=["t"], created_at=NOON) for _ in range(5)]
    rows.write(
        [*same, change(terms=["other"]), change(terms=["t"], created_at=NOON.replace(year=2020))]
    )
    seen: list[str] = []
    after: tuple[datetime, UUID] | None = None
    while page := rows.find(["t", "unknown"], 2, after):
        seen += [each.uuid for each in page]
        after = page[-1].created_at, UUID(page[-1].uuid)
    assert len(seen) == len(set(seen)) == 6
    assert set(seen[:5]) == {each.vcon_uuid for each in same}
    assert rows.with_terms([*seen, new_uuid()], ["t"]) == set(seen)


def test_a_number_that_nearly_every_vcon_has_is_found_by_time(
    rows: VconIndexRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the search by terms takes too long."""
    newest = change(terms=["t"], created_at=NOON)
    rows.write([newest, change(terms=["t"], created_at=NOON.replace(year=2020))])
    monkeypatch.setattr(vcon_index, "_FIND_RARE", text("SELECT pg_sleep(60)"))
    monkeypatch.setattr(vcon_index, "_RARE_MILLISECONDS", text("SET LOCAL statement_timeout = 1"))
    assert [each.uuid for each in rows.find(["t"], 1)] == [newest.vcon_uuid]


@pytest.mark.parametrize("year", [1, 9999])
def test_times_at_the_ends_of_the_calendar(rows: VconIndexRows, year: int) -> None:
    """Documents say any time."""
    created = datetime(year, 6, 1, tzinfo=UTC)
    rows.write([change(terms=["t"], created_at=created)])
    assert [each.created_at for each in rows.find(["t"], 5)] == [created]


def test_removal_from_storages(rows: VconIndexRows) -> None:
    """A vCon that a storage still has stays in the index; the last one takes the row along."""
    vcon = new_uuid()
    rows.write([change(vcon, chains=["a"], storages=["s", "f"], terms=["t"])])
    rows.write([change(vcon, 1, removed=["s", "unknown"], gone=True)])
    assert getattr(got(rows, vcon), "storages", None) == ["f"]
    rows.write([change(vcon, 2, removed=["f"], gone=True)])
    assert got(rows, vcon) is None
    assert rows.find(["t"], 5) == []
    rows.write([change(vcon, 3, chains=["a"], storages=["s"], terms=["t"])])
    assert getattr(got(rows, vcon), "storages", None) == ["s"]


def test_a_late_replica_does_not_name_a_removed_storage_again(rows: VconIndexRows) -> None:
    """Nor does it make the row older, so that an older removal would apply."""
    vcon = new_uuid()
    stored = change(vcon, chains=["a"], storages=["s", "f"], terms=["t"])
    rows.write([stored])
    rows.write([change(vcon, 2, removed=["s"], gone=True)])
    rows.write([stored])
    assert getattr(got(rows, vcon), "storages", None) == ["f"]
    rows.write([change(vcon, 1, removed=["f"], gone=True)])
    assert getattr(got(rows, vcon), "storages", None) == ["f"]
    rows.write([change(vcon, 3, chains=["a"], storages=["s"])])
    assert set(getattr(got(rows, vcon), "storages", ())) == {"s", "f"}


def test_a_late_replica_does_not_bring_an_erased_vcon_back(rows: VconIndexRows) -> None:
    """Its batch is from before; a vCon that comes in again later is indexed."""
    vcon = new_uuid()
    stored = change(vcon, chains=["a"], storages=["s"], terms=["t"])
    rows.write([stored])
    rows.erase(vcon, NOON + timedelta(minutes=1))
    rows.write([stored, change(chains=["a"])])
    assert got(rows, vcon) is None
    assert rows.find(["t"], 5) == []
    rows.write([change(vcon, 2, chains=["a"], terms=["t"])])
    assert [each.uuid for each in rows.find(["t"], 5)] == [vcon]
    rows.erase(vcon, NOON)  # by a clock that went back
    assert rows.find(["t"], 5) == []


def test_an_erased_vcon_that_was_not_indexed_stays_away(rows: VconIndexRows) -> None:
    """The note may still be on its way."""
    vcon = new_uuid()
    rows.erase(vcon, NOON + timedelta(minutes=1))
    rows.write([change(vcon, chains=["a"], terms=["t"])])
    assert got(rows, vcon) is None


def test_rows_go_only_when_no_storage_has_the_vcon(rows: VconIndexRows) -> None:
    """However old the rows of stored vCons are."""
    stored = change(minutes=-60 * 24 * 365 * 5, chains=["a"], storages=["s"], terms=["t"])
    passed = change(minutes=-60 * 24 * 365 * 5, chains=["a"], terms=["t"])
    rows.write(
        [stored, passed, *(change(minutes=-60 * 24 * 365 * 5, chains=["a"]) for _ in range(5))]
    )
    rows.prune(30, batch=2)
    assert [each.uuid for each in rows.find(["t"], 5)] == [stored.vcon_uuid]
    assert got(rows, passed.vcon_uuid) is None


def test_the_secret_is_made_once_and_only_where_it_is_needed(rows: VconIndexRows) -> None:
    """Replicas that start together have one secret."""
    assert rows.secret(make=False) is None
    made = rows.secret(make=True)
    assert made
    assert rows.secret(make=True) == rows.secret(make=False) == made
    assert rows.fingerprints() == set()
    for _ in range(2):
        rows.register("f00d")
    assert rows.fingerprints() == {"f00d"}
    assert rows.secret(make=False) == made
