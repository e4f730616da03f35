"""A database that is not migrated, or lacks a table: `/ready` says no, and the log what to do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from app import readiness as module
from app.readiness import CHECK_SECONDS, Readiness
from core.db.database import Database
from core.db.runs import RunHistory
from core.errors import UnavailableError
from core.settings import DatabaseSettings

CANNOT = "postgres cannot be used"


@pytest.fixture
def database(
    database_settings: DatabaseSettings, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database]:
    """The service's database, without tables."""
    database = Database()
    database.initialize(database_settings.model_copy(update={"postgres_db_test": empty_database}))
    monkeypatch.setattr(module, "database", database)
    yield database
    database.close()


def execute(database: Database, statement: str) -> None:
    """Change the schema behind the service's back."""
    with database.transaction() as session:
        session.execute(text(statement))


def a_readiness(check_seconds: float = CHECK_SECONDS) -> Readiness:
    """As in a service with MIGRATE_ON_START=false."""
    readiness = Readiness(
        joined=bool, draining=bool, redis=None, workers=None, check_seconds=check_seconds
    )
    readiness.migrated = True
    return readiness


async def test_what_is_missing_is_told_once(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """First the migration, later one table; `postgres` is true only while nothing is missing."""
    readiness = a_readiness()

    async def ready() -> bool:
        for _ in range(2):
            await readiness.check_postgres()
        return readiness.checks()["postgres"]

    caplog.set_level("INFO")
    assert not await ready()
    database.migrate()
    assert await ready()
    execute(database, "DROP TABLE chain_runs")
    assert not await ready()
    problems = [each.__dict__["error"] for each in caplog.records if each.getMessage() == CANNOT]
    assert len(problems) == 2
    assert problems[0].startswith("at revision none, not 0")
    assert "run `alembic upgrade head`, or set MIGRATE_ON_START=true" in problems[0]
    assert problems[1].startswith("missing tables: chain_runs;")
    with pytest.raises(UnavailableError, match=r"does not exist; is the database migrated\?"):
        RunHistory(database).find_run("00000000-0000-8000-8000-000000000000")


def test_each_revision_but_the_newest_is_too_old(database: Database) -> None:
    """One that this version does not know is a later one, which has all that is needed."""
    database.migrate()
    newest = database.revisions()[1]
    for revision, problem in (("0001", f"at revision 0001, not {newest}"), ("ffff", None)):
        execute(database, f"UPDATE alembic_version SET version_num = '{revision}'")
        found = database.schema_problem()
        assert (found and found.partition(";")[0]) == problem


async def test_a_postgres_that_stands_still_is_not_ready(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that does not end has failed after its limit, although its thread still hangs."""
    database.migrate()
    readiness, answer = a_readiness(), threading.Event()
    await readiness.check_postgres()
    assert readiness.checks()["postgres"]
    readiness = a_readiness(check_seconds=0.01)
    monkeypatch.setattr(database, "schema_problem", answer.wait)
    await readiness.check_postgres()
    assert not readiness.checks()["postgres"]
    answer.set()


async def test_a_check_from_before_the_migration_reports_nothing(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """The migration ends while the check runs: what it found is no longer so."""
    readiness = a_readiness()
    readiness.migrated = False
    check = asyncio.create_task(readiness.check_postgres())
    await asyncio.sleep(0)
    readiness.migrated = True
    await check
    assert [each.getMessage() for each in caplog.records] == []
