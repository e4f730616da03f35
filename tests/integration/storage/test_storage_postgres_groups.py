"""vCons that the PostgreSQL storage saves at the same time share a statement."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from devstack.servers.postgres import Postgres
from storage import postgres
from storage.postgres import pools
from storage.postgres.options import Options
from storage.postgres.table import row
from tests.integration.support.postgres_scene import as_options, as_settings
from tests.plugins.scene import TAGGED, canonical

VCON = canonical(TAGGED)
CEILING_SECONDS = 60
READ = "SELECT vcon_json FROM vcons WHERE id = %s"
BLOCKED = "SELECT 1 FROM pg_locks WHERE NOT granted"


@pytest.fixture
async def options(postgres_server: Postgres, empty_database: str) -> AsyncIterator[Options]:
    """Options of a storage whose table exists, and has one vCon."""
    options = Options.of(as_options(postgres_server, empty_database))
    async with asyncio.timeout(CEILING_SECONDS):
        await save(options, 0)
        yield options
        await postgres.close()


@pytest.fixture
def database(options: Options) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the test's own."""
    given = {**options.model_dump(), "password": options.password.get_secret_value()}
    with psycopg.connect(**as_settings(given), autocommit=True) as connection:
        yield connection


def uuid(number: int) -> str:
    """The uuid of the vCon of this number."""
    return f"00000000-0000-8000-8000-{number:012}"


async def save(options: Options, number: int, **changes: Any) -> None:
    """What `save` does once it has read the vCon from Redis."""
    await postgres._written(options, row({**VCON, "uuid": uuid(number), **changes}))


def stored(database: psycopg.Connection[Any], number: int) -> dict[str, Any] | None:
    """The vCon of this number in the table."""
    found = database.execute(READ, [uuid(number)]).fetchone()
    return found and found[0]


async def test_they_are_one_transaction(
    options: Options, database: psycopg.Connection[Any]
) -> None:
    """Up to the limit of rows; each row has its own content."""
    await asyncio.gather(*(save(options, n, subject=f"number {n}") for n in range(150)))
    counted = database.execute("SELECT count(*), count(DISTINCT xmin::text) FROM vcons").fetchone()
    assert counted == (150, 2)
    for number in range(150):
        found = stored(database, number)
        assert found == {**VCON, "uuid": uuid(number), "subject": f"number {number}"}


async def test_a_large_one_goes_alone(options: Options, database: psycopg.Connection[Any]) -> None:
    """Those after it share a statement again."""
    large = "x" * postgres.MOST_BYTES
    await asyncio.gather(save(options, 1), save(options, 2, subject=large), save(options, 3))
    counted = database.execute(
        "SELECT count(DISTINCT xmin::text) FROM vcons WHERE id <> %s", [uuid(0)]
    ).fetchone()
    assert counted == (3,)


async def test_the_later_one_of_the_same_uuid_stays(
    options: Options, database: psycopg.Connection[Any]
) -> None:
    """Though PostgreSQL refuses to write a row twice in one statement."""
    await asyncio.gather(*(save(options, 1, subject=f"version {n}") for n in range(5)))
    found = stored(database, 1)
    assert found is not None
    assert found["subject"] == "version 4"


async def test_a_row_that_the_table_refuses_fails_alone(
    options: Options, database: psycopg.Connection[Any]
) -> None:
    """With its own error; the others are stored."""
    database.execute("ALTER TABLE vcons ADD CHECK (subject <> 'refused')")
    subjects = ["fine", "refused", "fine", "refused", "fine"]
    results = await asyncio.gather(
        *(save(options, n, subject=subject) for n, subject in enumerate(subjects, 1)),
        return_exceptions=True,
    )
    kinds = [type(result) for result in results]
    refused = psycopg.errors.CheckViolation
    assert kinds == [type(None), refused, type(None), refused, type(None)]
    assert [stored(database, n) is not None for n in range(1, 6)] == [True, False] * 2 + [True]


async def test_a_json_that_postgres_cannot_hold_fails_alone(
    options: Options, database: psycopg.Connection[Any]
) -> None:
    """Here half of a surrogate pair."""
    bad = replace(row({**VCON, "uuid": uuid(2)}), document=rb'{"subject": "\ud83d"}')
    results = await asyncio.gather(
        save(options, 1), postgres._written(options, bad), return_exceptions=True
    )
    assert results[0] is None
    assert isinstance(results[1], psycopg.DataError)
    assert stored(database, 1) is not None


async def test_only_the_locked_row_waits_for_its_lock(
    options: Options, database: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another client is about to change it; the others are stored meanwhile."""
    monkeypatch.setattr(pools, "LOCK_SECONDS", 0.01)
    with database.transaction():
        database.execute("UPDATE vcons SET subject = 'locked' WHERE id = %s", [uuid(0)])
        locked = asyncio.create_task(save(options, 0, subject="ours"))
        await asyncio.gather(*(save(options, n) for n in range(1, 5)))
        assert not locked.done()
    await locked
    found = stored(database, 0)
    assert found is not None
    assert found["subject"] == "ours"


async def test_a_save_that_is_given_up_leaves_the_others(
    options: Options, database: psycopg.Connection[Any]
) -> None:
    """While the statement is at work."""
    with database.transaction():
        database.execute("LOCK TABLE vcons")
        saves = [asyncio.create_task(save(options, n)) for n in range(1, 4)]
        while not database.execute(BLOCKED).fetchall():  # noqa: ASYNC110 -- the server's event
            await asyncio.sleep(0.01)
        saves[0].cancel()
    results = await asyncio.gather(*saves, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == [None, None]
    assert stored(database, 2) is not None
