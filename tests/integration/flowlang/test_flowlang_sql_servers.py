"""The SQL plugins with failing servers and cancelled or wrong calls."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from flowlang.connections.connection import Patience
from flowlang.connections.manager import ConnectionManager
from flowlang.exceptions import ConnectionError, ConnectionTimeoutError, FlowExecutionError
from tests.integration.flowlang.flowlang_fixtures import mysql_config
from tests.integration.support.flowlang_databases import KINDS, NAME, Opened, manager

if TYPE_CHECKING:
    from devstack.servers.mariadb import MariaDB
    from devstack.servers.postgres import Postgres

SERVERS = pytest.mark.parametrize("database_config", ["postgres", "mysql"], indirect=True)
ONLY_POSTGRES = pytest.mark.parametrize("database_config", ["postgres"], indirect=True)
SLEEP = {"postgres": "SELECT pg_sleep(60)", "mysql": "SELECT SLEEP(60)"}
END_OF_ONESELF = {
    "postgres": "SELECT pg_terminate_backend(pg_backend_pid())",
    "mysql": "KILL CONNECTION_ID()",
}
BUSY = {
    "postgres": "SELECT COUNT(*) AS n FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%'"
    " AND state = 'active' AND pid <> pg_backend_pid()",
    "mysql": "SELECT COUNT(*) AS n FROM information_schema.processlist"
    " WHERE info LIKE '%SLEEP(60)%' AND id <> CONNECTION_ID()",
}


@SERVERS
async def test_a_cancelled_task_leaves_nothing_behind(database: Opened) -> None:
    """Neither rows, nor a statement that runs on, nor a connection lost or out of step."""
    kind = database.kind.plugin
    queries = [{"query": "INSERT INTO people (name) VALUES ('Ada')"}, {"query": SLEEP[kind]}]
    for _ in range(3):
        task = asyncio.create_task(database.do("transaction", queries=queries))
        while (await database.rows(BUSY[kind]))[0]["n"] == 0:  # noqa: ASYNC110 - a server's event
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await database.rows("SELECT name FROM people") == []
    async with asyncio.timeout(60):  # the server lists a killed statement a little longer
        while await database.rows(BUSY[kind]) != [{"n": 0}]:  # noqa: ASYNC110 - a server's event
            await asyncio.sleep(0)


@ONLY_POSTGRES
async def test_a_statement_may_take_only_so_long(database: Opened) -> None:
    """The connection's `timeout` ends it, and the connection can be used again."""
    async with manager({**database.config, "timeout": 0.05, "pool_size": 1}) as connections:
        brief = Opened(database.kind, connections)
        with pytest.raises(FlowExecutionError, match=r"PostgreSQL query failed: no answer within"):
            await brief.do("query", query="SELECT pg_sleep(60)")
        assert await brief.rows("SELECT 1 AS one") == [{"one": 1}]


@ONLY_POSTGRES
async def test_an_ended_connection_is_not_lent(database: Opened) -> None:
    """When the server has closed what lay in the pool, the next task gets a new one."""
    others = "pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    url = database.config["url"]
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as killer:
        [before] = await database.rows("SELECT pg_backend_pid() AS pid")
        await killer.execute(f"SELECT pg_terminate_backend(pid) FROM {others}")
        while await (await killer.execute(f"SELECT 1 FROM {others}")).fetchone():  # noqa: ASYNC110 - a server's event
            await asyncio.sleep(0)
        [after] = await database.rows("SELECT pg_backend_pid() AS pid")
        assert before != after


@SERVERS
async def test_a_check_asks_the_server(database: Opened) -> None:
    """One that has ended the connection does not answer."""
    plugin = await database.manager.get_plugin(NAME)
    query = plugin.get_builtin_tasks()[f"{database.kind.prefix}_query"]
    async with database.manager.lent(NAME) as lent:
        await plugin.check_connection(lent)
        with pytest.raises(FlowExecutionError):
            await query(query=END_OF_ONESELF[database.kind.plugin], connection=lent)
        with pytest.raises(Exception, match=r"closed|Lost|Not connected|gone away"):
            await plugin.check_connection(lent)


@SERVERS
async def test_a_timeout_for_a_connection_is_reported(database: Opened) -> None:
    """All of the pool are lent: the wait has an end, and a later task gets one."""
    connections = ConnectionManager(
        {NAME: {**database.config, "pool_size": 1}}, patience=Patience(acquire=0.05)
    )
    async with connections:
        opened = Opened(database.kind, connections)
        async with connections.lent(NAME):
            with pytest.raises(ConnectionTimeoutError, match=r"'db' \(\w+\) did not lend within"):
                await opened.rows("SELECT 1")
        assert await opened.rows("SELECT 1 AS one") == [{"one": 1}]


@SERVERS
async def test_a_transaction_left_open_ends_with_its_loan(
    database: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    """A task of one's own that forgets to commit keeps no lock and hands on no transaction."""
    begin = {"postgres": "BEGIN", "mysql": "START TRANSACTION"}[database.kind.plugin]
    async with database.manager.lent(NAME) as lent, lent.cursor() as cursor:
        await cursor.execute(begin)
        await cursor.execute("INSERT INTO people (name) VALUES ('Ada')")
    assert await database.rows("SELECT name FROM people") == []


async def test_wrong_credentials_are_reported_at_once_and_never_shown(
    postgres_server: Postgres, mariadb_server: MariaDB
) -> None:
    """Name, type and cause are in the message; the password is not."""
    wrong: list[dict[str, Any]] = [
        {"type": "postgres", "url": postgres_server.url().replace("/postgres", "/nowhere")},
        {
            "type": "postgres",
            "url": f"postgres://patchcord:wr0ng-secret@127.0.0.1:{postgres_server.port}/postgres",
        },
        {
            "type": "mysql",
            "host": "127.0.0.1",
            "port": mariadb_server.port,
            "user": "patchcord",
            "password": "wr0ng-secret",
            "database": "test",
        },
    ]
    for config in wrong:
        with pytest.raises(ConnectionError, match="Failed to connect 'db' ") as caught:
            await manager(config).initialize()
        said = str(caught.value)
        assert "wr0ng-secret" not in said
        assert postgres_server.password not in said
        assert any(word in said for word in ("nowhere", "authentication failed", "Access denied"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"type": "postgres", "url": "mysql://x"}, "url must start with postgres://"),
        ({"type": "postgres", "url": "postgres://x", "pool_size": 101}, "pool_size"),
        (
            {"type": "postgres", "url": "postgres://x", "pool_size": 2, "min_pool_size": 3},
            "min_pool_size 3 is more than pool_size 2",
        ),
        ({"type": "mysql", "host": "h", "user": "u", "password": "p"}, "database"),
        ({"type": "sqlite", "database": "x", "isolation_level": "NONE"}, "isolation_level"),
        ({"type": "sqlite", "database": "x", "timeout": 0}, "timeout"),
        ({"type": "sqlite", "path": "x"}, "path"),
    ],
    ids=str,
)
async def test_a_wrong_configuration_is_refused_before_connecting(
    wrong: dict[str, Any], said: str
) -> None:
    """The message names the field."""
    with pytest.raises(ConnectionError, match=f"Invalid config for connection 'db' .*{said}"):
        await manager(wrong).initialize()


async def test_sqlite_keeps_transactions_within_a_task(tmp_path: Any) -> None:
    """`BEGIN` alone is refused; foreign keys are enforced; values have a form SQLite holds."""
    from datetime import UTC, datetime
    from decimal import Decimal

    config = {"type": "sqlite", "database": ":memory:", "isolation_level": "IMMEDIATE"}
    async with manager(config) as connections:
        memory = Opened(KINDS["sqlite"], connections)
        with pytest.raises(FlowExecutionError, match="a transaction ends with its task"):
            await memory.do("execute", query="BEGIN")
        await memory.do("execute", query="CREATE TABLE a (id INTEGER PRIMARY KEY, v, w)")
        await memory.do("execute", query="CREATE TABLE b (a INTEGER REFERENCES a)")
        with pytest.raises(FlowExecutionError, match="FOREIGN KEY"):
            await memory.do("batch_insert", table="b", records=[{"a": 1}])
        values = {"v": Decimal("1.50"), "w": datetime(2026, 1, 2, tzinfo=UTC)}
        await memory.do("batch_insert", table="a", records=[values])
        query = "SELECT v, w FROM a WHERE v = :v"
        found = await memory.do("query", query=query, params={"v": Decimal("1.50")})
        assert found["rows"] == [{"v": "1.50", "w": "2026-01-02T00:00:00+00:00"}]


async def test_a_cancelled_statement_of_sqlite_is_interrupted(tmp_path: Any) -> None:
    """The next task need not wait for it, and finds nothing of it."""
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT MAX(i) FROM n"
    started = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with manager({"type": "sqlite", "database": ":memory:"}) as connections:
        memory = Opened(KINDS["sqlite"], connections)
        await memory.do("execute", query="CREATE TABLE a (id INTEGER)")
        async with connections.lent(NAME) as database:
            database.connection.set_progress_handler(
                lambda: loop.call_soon_threadsafe(started.set) and None, 100_000
            )
        queries = [{"query": "INSERT INTO a VALUES (1)"}, {"query": endless}]
        task = asyncio.create_task(memory.do("transaction", queries=queries))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await memory.rows("SELECT id FROM a") == []


async def test_connections_to_one_file_wait_for_each_other(tmp_path: Any) -> None:
    """As processes do, without an error that the database is locked."""
    config = {"type": "sqlite", "database": str(tmp_path / "x.db"), "isolation_level": "IMMEDIATE"}
    async with manager(config) as one, manager(config) as other:
        both = [Opened(KINDS["sqlite"], each) for each in (one, other)]
        await both[0].do("execute", query="CREATE TABLE a (id INTEGER PRIMARY KEY)")
        records = [[{"id": 2 * n + k} for n in range(50)] for k in (0, 1)]
        await asyncio.gather(
            *(each.do("batch_insert", table="a", records=records[k]) for k, each in enumerate(both))
        )
        assert await both[0].rows("SELECT COUNT(*) AS n FROM a") == [{"n": 100}]


@ONLY_POSTGRES
async def test_lists_are_arrays_in_postgres(database: Opened) -> None:
    """A list of texts is an array, mappings and lists of them are JSON."""
    query = "SELECT $1::text[] AS names, $2::jsonb AS more"
    assert await database.rows(query, ["x", "y"], [{"a": None}]) == [
        {"names": ["x", "y"], "more": [{"a": None}]}
    ]


@pytest.mark.parametrize("database_config", ["mysql"], indirect=True)
async def test_a_transaction_is_one_also_in_autocommit(database: Opened) -> None:
    """What the server would commit by itself is undone with the rest."""
    async with manager({**database.config, "autocommit": True}) as connections:
        opened = Opened(database.kind, connections)
        records = [{"name": "Ada"}, {"name": None}]
        with pytest.raises(FlowExecutionError, match="MySQL batch insert failed: "):
            await opened.do("batch_insert", table="people", records=records, batch_size=1)
        assert await opened.rows("SELECT name FROM people") == []
        await opened.do("execute", query="INSERT INTO people (name) VALUES ('Bo')")
    assert await database.rows("SELECT name FROM people") == [{"name": "Bo"}]


@ONLY_POSTGRES
async def test_times_that_python_cannot_hold_are_texts(database: Opened) -> None:
    """As PostgreSQL writes them, also in arrays; all others are what they were."""
    [row] = await database.rows(
        "SELECT 'infinity'::date AS a, '-infinity'::timestamptz AS b, 'infinity'::timestamp AS c,"
        " '0044-03-15 BC'::date AS d, '24:00'::time AS e, '24:00+00'::timetz AS f,"
        " '10000-01-01'::timestamp AS g, 'infinity'::interval AS h,"
        " ARRAY['infinity', '2026-11-29']::date[] AS i, '2026-11-29'::date AS j"
    )
    assert row == {
        "a": "infinity",
        "b": "-infinity",
        "c": "infinity",
        "d": "0044-03-15 BC",
        "e": "24:00:00",
        "f": "24:00:00+00",
        "g": "10000-01-01 00:00:00",
        "h": "infinity",
        "i": ["infinity", date(2026, 11, 29)],
        "j": date(2026, 11, 29),
    }


async def test_times_of_mysql_that_python_cannot_hold_are_texts(mariadb_server: MariaDB) -> None:
    """A date of zeros, and a time beyond a day, which is a duration."""
    async with manager(config := mysql_config(mariadb_server)) as connections:
        opened = Opened(KINDS["mysql"], connections, config)
        query = "SELECT CAST(%s AS DATE) AS d, CAST(%s AS DATETIME) AS t, CAST(%s AS TIME) AS h"
        [row] = await opened.rows(query, "0000-00-00", "0000-00-00 00:00:00", "24:00:00")
    assert row == {"d": "0000-00-00", "t": "0000-00-00 00:00:00", "h": timedelta(days=1)}
