"""The SQL plugins on real databases: the same five tasks, the same promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flowlang import exceptions
from flowlang.connections import ConnectionPlugin
from flowlang.connections.postgres import PostgresPlugin
from flowlang.connections.sqlite import SqlitePlugin
from flowlang.exceptions import FlowExecutionError
from tests.canaries import canary

TABLE = {
    "pg": "CREATE TABLE {} (id int PRIMARY KEY, name text, size int DEFAULT 7, more jsonb)",
    "sqlite": "CREATE TABLE {} (id INTEGER PRIMARY KEY, name TEXT, size INTEGER DEFAULT 7)",
}
PLACES = {"pg": ("$1", "$2"), "sqlite": ("?", "?")}
NAMES = ["things", 'odd "table"; --', "größe"]


@dataclass
class Database:
    """One plugin with a connection to an empty database."""

    plugin: Any
    prefix: str

    async def do(self, task: str, **parameters: Any) -> dict[str, Any]:
        """The outcome of one task, which borrows a connection and gives it back."""
        connection = await self.plugin.get_connection()
        try:
            function = self.plugin.get_builtin_tasks()[f"{self.prefix}_{task}"]
            outcome: dict[str, Any] = await function(connection=connection, **parameters)
            return outcome
        finally:
            await self.plugin.release_connection(connection)

    async def table(self, name: str = "things") -> str:
        """A table of this name, as it stands in SQL."""
        quoted = self.plugin.dialect.table(name)
        await self.do("execute", query=TABLE[self.prefix].format(quoted))
        return quoted

    async def names(self, table: str = "things") -> list[str]:
        """What is in its column `name`."""
        told = await self.do("query", query=f"SELECT name FROM {table} ORDER BY id")
        assert told["count"] == len(told["rows"])
        return [row["name"] for row in told["rows"]]


@pytest.fixture(params=["pg", "sqlite"])
async def db(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """Each database in turn."""
    plugin: ConnectionPlugin
    if request.param == "pg":
        url = request.getfixturevalue("postgres_url")
        plugin, config = PostgresPlugin(), {"type": "postgres", "url": url, "pool_size": 4}
    else:
        plugin, config = SqlitePlugin(), {"type": "sqlite", "database": str(tmp_path / "x.db")}
    assert plugin.validate_config(config) == (True, None)
    assert plugin.check_dependencies() == (True, [])
    await plugin.connect(config)
    yield Database(plugin, request.param)
    await plugin.disconnect()


@pytest.fixture
def postgres_url(postgres_server: Any, empty_database: str) -> str:
    """The address of an empty database."""
    return str(postgres_server.url(empty_database))


async def test_queries_and_changes(db: Database) -> None:
    """Rows as dicts, values in their places, how many rows have changed."""
    await db.table()
    one, two = PLACES[db.prefix]
    insert = f"INSERT INTO things (id, name) VALUES ({one}, {two})"
    assert await db.do("execute", query=insert, params=[1, "a'; --"]) == {"rows_affected": 1}
    told = await db.do(
        "query", query=f"SELECT id, name, size FROM things WHERE id = {one}", params=[1]
    )
    assert told == {"rows": [{"id": 1, "name": "a'; --", "size": 7}], "count": 1}
    assert await db.do("query", query="SELECT 1 AS x WHERE 1 = 0") == {"rows": [], "count": 0}
    dropped = await db.do("execute", query="DROP TABLE things")
    assert dropped == {"rows_affected": 0}


async def test_a_transaction_is_all_or_nothing(db: Database) -> None:
    """A statement that fails takes the others back; the connection works on."""
    await db.table()
    one, two = PLACES[db.prefix]
    insert = f"INSERT INTO things (id, name) VALUES ({one}, {two})"
    queries = [{"query": insert, "params": [1, "a"]}, {"query": insert, "params": [1, "b"]}]
    with pytest.raises(FlowExecutionError, match=r"(PostgreSQL|SQLite) transaction failed: "):
        await db.do("transaction", queries=queries)
    assert await db.names() == []
    queries = [{"query": insert, "params": [2, "b"]}, {"query": "DELETE FROM things"}]
    told = await db.do("transaction", queries=queries)
    affected = ["INSERT 0 1", "DELETE 1"] if db.prefix == "pg" else [{"rows_affected": 1}] * 2
    assert told == {"results": affected, "count": 2}
    with pytest.raises(FlowExecutionError, match="a statement has no 'query'"):
        await db.do("transaction", queries=[{"params": []}])


@pytest.mark.parametrize("name", NAMES)
async def test_records_are_inserted_with_all_their_keys(db: Database, name: str) -> None:
    """In batches; what a record leaves out has its default; any name is only a name."""
    table = await db.table(name)
    records: list[dict[str, Any]] = [{"id": n, "name": f"n{n}"} for n in range(4)]
    records.append({"size": 1, "id": 4})
    told = await db.do("batch_insert", table=name, records=records, batch_size=2)
    assert told == {"inserted_count": 5, "batches": 3, "table": name}
    rows = (await db.do("query", query=f"SELECT id, name, size FROM {table} ORDER BY id"))["rows"]
    assert rows[0] == {"id": 0, "name": "n0", "size": 7}
    assert rows[4] == {"id": 4, "name": None, "size": 1}
    assert await db.do("batch_insert", table=name, records=[]) == {
        "inserted_count": 0,
        "batches": 0,
    }


async def test_records_are_updated_by_their_key(db: Database) -> None:
    """Each with its own columns; how many rows were found."""
    await db.table()
    await db.do("batch_insert", table="things", records=[{"id": n} for n in range(3)])
    updates = [{"id": 0, "name": "a"}, {"id": 1, "size": 3, "name": "b"}, {"id": 9, "name": "x"}]
    told = await db.do("batch_update", table="things", updates=updates)
    assert told == {"updated_count": 2, "batches": 1, "table": "things"}
    assert await db.names() == ["a", "b", None]
    renamed = await db.do(
        "batch_update", table="things", updates=[{"name": "b", "size": 4}], key_field="name"
    )
    assert renamed["updated_count"] == 1


@pytest.mark.parametrize(
    ("task", "parameters", "words"),
    [
        ("batch_insert", {"records": [{"id": 1}, {"id": 1}]}, "batch insert failed"),
        ("batch_insert", {"records": [{"id": 1}, {}]}, "record 1: expected columns"),
        ("batch_insert", {"records": [{"id": 1}, 7]}, "record 1: expected columns"),
        ("batch_insert", {"records": [{"id": 1}], "batch_size": 0}, "batch_size: must be 1"),
        ("batch_insert", {"records": [{"id": 1}, {"a\0": 1}]}, "is no name of a column"),
        ("batch_update", {"updates": [{"name": "x"}]}, "an update has no 'id'"),
    ],
)
async def test_a_batch_is_all_or_nothing(
    db: Database, task: str, parameters: dict[str, Any], words: str
) -> None:
    """One record that cannot be takes the others back, and is told."""
    await db.table()
    with pytest.raises(FlowExecutionError, match=words.replace("(", r"\(")):
        await db.do(task, table="things", **parameters)
    assert await db.names() == []


async def test_many_tasks_at_once_do_not_mix(db: Database) -> None:
    """Each has its transaction for itself, on however many connections there are."""
    await db.table()
    batches = [[{"id": 10 * n + k, "name": str(n)} for k in range(10)] for n in range(8)]
    await asyncio.gather(
        *(db.do("batch_insert", table="things", records=each) for each in batches),
        *(db.do("query", query="SELECT count(*) AS n FROM things") for _ in range(8)),
    )
    assert len(await db.names()) == 80


async def test_a_task_that_is_cancelled_leaves_the_connection_usable(db: Database) -> None:
    """Its transaction is rolled back."""
    await db.table()
    connection = await db.plugin.get_connection()

    async def stuck() -> None:
        async with db.plugin._within(connection):
            await db.plugin._affected(connection, "INSERT INTO things (id) VALUES (1)", ())
            began.set()
            await asyncio.Event().wait()

    began = asyncio.Event()
    task = asyncio.create_task(stuck())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await db.plugin.release_connection(connection)
    assert await db.names() == []


async def test_json_goes_into_postgres_and_comes_back(postgres_url: str) -> None:
    """Objects and lists of them are JSON there; a list of texts is an array."""
    plugin = PostgresPlugin()
    await plugin.connect({"url": postgres_url})
    db = Database(plugin, "pg")
    await db.table()
    record = {"id": 1, "more": {"a": [1, {"b": None}]}}
    await db.do("batch_insert", table="things", records=[record])
    query = "SELECT more, $1::text[] AS names FROM things"
    told = await db.do("query", query=query, params=[["x", "y"]])
    assert told["rows"] == [{"more": record["more"], "names": ["x", "y"]}]
    await plugin.disconnect()


async def test_postgres_says_what_is_wrong_with_an_address(postgres_url: str) -> None:
    """At once, and without the password; a schema that is none is refused before."""
    plugin = PostgresPlugin()
    assert plugin.validate_config({"url": "mysql://x"})[0] is False
    assert plugin.validate_config({"url": "postgres://x", "min_pool_size": 11})[0] is False
    head, _, tail = postgres_url.partition("://")
    place = tail.rpartition("@")[2]
    wrong = f"{head}://nobody:{canary('not-the-password')}@{place}"
    with pytest.raises(Exception, match="nobody") as refused:
        await plugin.connect({"url": wrong})
    assert "not-the-password" not in str(refused.value)
    await plugin.disconnect()
    with pytest.raises(exceptions.ConnectionError):
        await plugin.get_connection()


async def test_a_statement_that_takes_too_long_is_ended(postgres_url: str) -> None:
    """`timeout` is for each statement; the connection works on."""
    plugin = PostgresPlugin()
    await plugin.connect({"url": postgres_url, "timeout": 1})
    db = Database(plugin, "pg")
    with pytest.raises(FlowExecutionError, match="statement timeout"):
        await db.do("query", query="SELECT pg_sleep(30)")
    assert (await db.do("query", query="SELECT 1 AS x"))["rows"] == [{"x": 1}]
    await plugin.disconnect()


async def test_sqlite_enforces_foreign_keys_and_waits_for_writers(tmp_path: Path) -> None:
    """Two connections to one file take turns; a reference to nothing is refused."""
    first, second = SqlitePlugin(), SqlitePlugin()
    config = {"database": str(tmp_path / "x.db"), "isolation_level": "IMMEDIATE"}
    await asyncio.gather(first.connect(config), second.connect(config))
    one, two = Database(first, "sqlite"), Database(second, "sqlite")
    await one.table()
    await one.do("execute", query="CREATE TABLE kept (id INTEGER REFERENCES things)")
    records = [[{"id": 2 * n + k} for n in range(50)] for k in (0, 1)]
    await asyncio.gather(
        one.do("batch_insert", table="things", records=records[0]),
        two.do("batch_insert", table="things", records=records[1]),
    )
    assert len(await one.names()) == 100
    with pytest.raises(FlowExecutionError, match="FOREIGN KEY"):
        await one.do("execute", query="INSERT INTO kept VALUES (1000)")
    await asyncio.gather(first.disconnect(), second.disconnect())
    with pytest.raises(exceptions.ConnectionError):
        await first.get_connection()
