"""Limits of results, and of the files that SQLite may open."""

from __future__ import annotations

import os
import resource
import stat
from pathlib import Path
from typing import Any

import pytest

from devstack.postgres import Postgres
from flowlang.connections import plugin_registry
from flowlang.connections.bounds import Kept, size_of
from flowlang.connections.manager import ConnectionManager
from flowlang.connections.redis import RedisPlugin
from flowlang.exceptions import FlowExecutionError


async def asked(config: dict[str, Any], task: str, **parameters: Any) -> dict[str, Any]:
    """The outputs of one task."""
    async with ConnectionManager({"c": config}, registry=plugin_registry) as connections:
        function = (await connections.get_plugin("c")).get_builtin_tasks()[task]
        async with connections.lent("c") as lent:
            told: dict[str, Any] = await function(**parameters, connection=lent)
    return told


def sqlite(folder: Path, **more: Any) -> dict[str, Any]:
    """A connection to a file."""
    return {"type": "sqlite", "database": str(folder / "own.db"), **more}


def files_in(folder: Path) -> set[str]:
    """The names of its files."""
    return {each.name for each in folder.iterdir()}


@pytest.mark.parametrize(
    "query",
    [
        "ATTACH '{other}' AS o",
        "ATTACH DATABASE 'file:{other}?mode=ro' AS o",
        "ATTACH ':memory:' AS o",
        "VACUUM INTO '{other}'",
        "VACUUM main INTO '{other}'",
    ],
)
async def test_sqlite_opens_no_other_file(tmp_path: Path, query: str) -> None:
    """Whatever a statement says; unless the connection allows it."""
    text = query.format(other=tmp_path / "other.db")
    with pytest.raises(FlowExecutionError, match=r"not authorized|authorization denied"):
        await asked(sqlite(tmp_path), "sqlite_execute", query=text)
    assert files_in(tmp_path) == {"own.db"}
    if "mode=ro" not in query:
        await asked(sqlite(tmp_path, allow_attach=True), "sqlite_execute", query=text)


async def test_other_users_do_not_read_what_sqlite_keeps(tmp_path: Path) -> None:
    """A database that is made, in a folder that is made; one that was there stays as it is."""
    before = os.umask(0)
    try:
        made = tmp_path / "made"
        create = {"query": "CREATE TABLE t (a)"}
        await asked(sqlite(made), "sqlite_execute", **create)
        (tmp_path / "own.db").touch(mode=0o666)
        await asked(sqlite(tmp_path), "sqlite_execute", **create)
    finally:
        os.umask(before)
    places = (made, made / "own.db", tmp_path / "own.db")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in places]
    assert modes == [0o750, 0o640, 0o666]


async def test_sqlite_may_still_vacuum(tmp_path: Path) -> None:
    """Its own file, in place."""
    await asked(sqlite(tmp_path), "sqlite_execute", query="CREATE TABLE t (a)")
    await asked(sqlite(tmp_path), "sqlite_execute", query="VACUUM")


async def test_sqlite_reads_no_more_than_is_kept(tmp_path: Path) -> None:
    """A query without end is left as soon as its result is cut."""
    endless = "WITH RECURSIVE n(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM n) SELECT a FROM n"
    told = await asked(sqlite(tmp_path), "sqlite_query", query=endless)
    assert (told["count"], told["truncated"]) == (10_000, True)


@pytest.fixture
def flow_postgres(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A connection to an empty database."""
    server: Postgres = request.getfixturevalue("postgres_server")
    url = server.url(request.getfixturevalue("empty_database"))
    return {"type": "postgres", "url": url, "min_pool_size": 1, "pool_size": 2}


async def test_postgres_holds_no_more_than_is_kept(flow_postgres: dict[str, Any]) -> None:
    """The memory of a million rows is not needed."""
    query = "SELECT repeat('x', 1000) AS a FROM generate_series(1, 200000)"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = await asked(flow_postgres, "pg_query", query=query)
    assert (told["truncated"], told["count"]) == (True, 7920)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


async def test_what_postgres_changes_is_changed_whole(flow_postgres: dict[str, Any]) -> None:
    """Also where the rows that it returns are cut."""
    name = "bounds_of_results"
    await asked(flow_postgres, "pg_execute", query=f"CREATE TABLE {name} (a int)")
    try:
        query = f"INSERT INTO {name} SELECT generate_series(1, 50) RETURNING a"
        told = await asked(flow_postgres | {"max_rows": 5}, "pg_query", query=query)
        assert (told["count"], told["truncated"]) == (5, True)
        counted = await asked(flow_postgres, "pg_query", query=f"SELECT count(*) FROM {name}")
        assert counted["rows"] == [{"count": 50}]
    finally:
        await asked(flow_postgres, "pg_execute", query=f"DROP TABLE {name}")


async def test_redis_reads_no_more_than_is_kept(redis_url: str) -> None:
    """A hash is cut, a text refused."""
    plugin = RedisPlugin()
    await plugin.connect({"url": redis_url, "max_rows": 10, "max_bytes": 1000})
    try:
        connection, tasks = await plugin.get_connection(), plugin.get_builtin_tasks()
        await connection.hset("h", mapping={f"f{number}": "v" for number in range(2000)})
        await connection.set("t", "x" * 1001)
        told = await tasks["redis_hgetall"](key="h", connection=connection)
        assert (len(told["hash"]), told["truncated"]) == (10, True)
        with pytest.raises(FlowExecutionError, match="1001 bytes, above max_bytes 1000"):
            await tasks["redis_get"](key="t", connection=connection)
    finally:
        await connection.delete("h", "t")
        await plugin.disconnect()


def test_the_first_row_that_does_not_fit_ends_a_result() -> None:
    """A smaller one after it is not taken, so that what is kept is a beginning."""
    kept = Kept[str](most_rows=10, most_bytes=20)
    assert [kept.add(each) for each in ("a" * 10, "b" * 10, "c")] == [True, False, False]
    assert (kept.rows, kept.told) == (["a" * 10], {"truncated": True})
    assert size_of({"a": ["x" * 100, {"b": b"y" * 100}, 1, None]}) >= 200
