"""Behind PgBouncer in transaction mode everything of ours works, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import inspect, text

from core.db.database import Database
from core.db.runs import RunHistory
from core.errors import UnavailableError
from core.settings import DatabaseSettings
from devstack.machine import CHECKOUT
from devstack.servers.pgbouncer import PgBouncer
from storage import postgres
from storage.postgres.pools import rows
from tests.integration.admin.test_outbox import a_run
from tests.integration.support.flowlang_databases import KINDS, Opened, manager
from tests.plugins.scene import TAGGED, canonical, connected

TIMES = 20
"""Executions of one statement; psycopg would prepare it from the sixth on."""
SLEEP = "SELECT pg_sleep(60)"
LIMITS = "SELECT current_setting('statement_timeout') AS s, current_setting('lock_timeout') AS l"


@contextmanager
def a_database(settings: DatabaseSettings, **changes: Any) -> Iterator[Database]:
    """One with these settings, closed at the end."""
    database = Database()
    database.initialize(settings.model_copy(update=changes))
    with closing(database):
        yield database


async def side_by_side[T](count: int, work: Callable[[int], T]) -> list[T]:
    """The results of the same function in several threads."""
    return await asyncio.gather(*(asyncio.to_thread(work, number) for number in range(count)))


@pytest.fixture
async def opened(pooler: PgBouncer, database_name: str) -> AsyncIterator[Opened]:
    """A connection of type `postgres` behind the pooler."""
    config = {"type": "postgres", "url": pooler.url(database_name), "pool_size": 4}
    async with manager(config) as connections:
        yield Opened(KINDS["postgres"], connections, config)


@pytest.fixture
async def options(pooled_settings: DatabaseSettings, redis_url: str) -> AsyncIterator[Any]:
    """Options of a storage behind the pooler, whose plugins find a Redis."""
    async with connected(redis_url) as store:
        await store.put(canonical(TAGGED))
        yield {
            "host": pooled_settings.postgres_host,
            "port": pooled_settings.postgres_port,
            "user": pooled_settings.postgres_user,
            "database": pooled_settings.postgres_database,
            "timeout": 20.0,
        }
        await postgres.close()


async def test_the_services_own_database(pooled_settings: DatabaseSettings) -> None:
    """Many write and read at once, each the same statements again and again."""
    with a_database(pooled_settings) as database:
        history = RunHistory(database)

        def written_and_read(_: int) -> bool:
            runs = [a_run() for _ in range(TIMES)]
            for run in runs:
                history.write_runs([run.model_dump(mode="json")])
            return all(history.find_run(str(run.run_id)) for run in runs)

        assert await side_by_side(8, written_and_read) == [True] * 8
        assert database.reachable()
        assert len(set(database.revisions())) == 1


async def test_migrations_take_turns(
    pooled_settings: DatabaseSettings, pooler: PgBouncer, empty_database: str
) -> None:
    """Three processes at once make the tables, and one takes them all down again."""
    variables = pooler.server.environment(empty_database) | {
        "POSTGRES_PORT": str(pooler.port),
        "ENVIRONMENT": "test",
        "PATH": os.defpath,
    }
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "alembic", "upgrade", "head"), env=variables, cwd=CHECKOUT
        )
        for _ in range(3)
    ]
    assert await asyncio.gather(*(each.wait() for each in processes)) == [0, 0, 0]
    with a_database(pooled_settings, postgres_db_test=empty_database) as database:
        assert len(set(database.revisions())) == 1
        await asyncio.to_thread(database.teardown)
        assert inspect(database.engine).get_table_names() == ["alembic_version"]


async def test_limits_end_with_their_transaction(
    pooled_settings: DatabaseSettings, options: dict[str, Any], opened: Opened
) -> None:
    """They hold behind the pooler, and the next client of the connection is free of them."""
    with (
        a_database(pooled_settings, postgres_statement_timeout=0.1) as database,
        pytest.raises(UnavailableError, match="statement timeout"),
        database.session() as session,
    ):
        session.execute(text(SLEEP))
    hurried = postgres.Options.of(options | {"timeout": 0.1})
    with pytest.raises(psycopg.errors.QueryCanceled):
        await rows(hurried, SLEEP.encode(), {})
    for _ in range(4):  # more than there are connections to the server
        told = await opened.rows(LIMITS)
        assert list(told[0].values()) == ["0", "0"]


async def test_the_storage(options: dict[str, Any]) -> None:
    """Every save, read and delete succeeds at its first try."""
    uuid = canonical(TAGGED)["uuid"]
    for _ in range(TIMES):
        await asyncio.gather(*(postgres.save(uuid, options) for _ in range(4)))
        assert await postgres.get(uuid, options) == canonical(TAGGED)
    assert [await postgres.delete(uuid, options) for _ in range(2)] == [True, False]


async def test_a_connection_of_flows(opened: Opened) -> None:
    """All five tasks, the same statements again and again, several at once."""
    for _ in range(TIMES):
        told = await asyncio.gather(
            *(opened.rows("SELECT $1::int AS n, $2::text AS t", n, "x") for n in range(4))
        )
        assert told == [[{"n": n, "t": "x"}] for n in range(4)]
    await opened.do("execute", query="CREATE TABLE numbers (id int PRIMARY KEY, n int)")
    records = [{"id": each, "n": each} for each in range(100)]
    inserted = await opened.do("batch_insert", table="numbers", records=records, batch_size=30)
    assert inserted["inserted_count"] == 100
    updated = await opened.do("batch_update", table="numbers", updates=records)
    assert updated["updated_count"] == 100
    inserts = [
        {"query": "INSERT INTO numbers VALUES ($1, 0)", "params": [each]} for each in (200, 201)
    ]
    await opened.do("transaction", queries=inserts)
    assert await opened.rows("SELECT count(*) AS n FROM numbers") == [{"n": 102}]
