"""Limits of results, and of the files that SQLite may open."""

from __future__ import annotations

import os
import resource
import stat
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ResponseError

from devstack.servers.postgres import Postgres
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
    """For any statement, unless the connection allows it."""
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


async def test_sqlite_counts_all_rows_that_a_statement_changes(tmp_path: Path) -> None:
    """Also where it returns more of them than a result may have."""
    await asked(sqlite(tmp_path), "sqlite_execute", query="CREATE TABLE t (a)")
    numbers = "WITH RECURSIVE n(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM n LIMIT 20000)"
    query = f"{numbers} INSERT INTO t SELECT a FROM n RETURNING a"
    told = await asked(sqlite(tmp_path), "sqlite_execute", query=query)
    assert told == {"rows_affected": 20_000}


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


@pytest.mark.parametrize("params", [[], ["x"]])
async def test_rows_that_are_not_wanted_are_not_held(
    flow_postgres: dict[str, Any], params: list[str]
) -> None:
    """By a statement with and without parameters, in a transaction and by itself."""
    value = "$1::text" if params else "'x'"
    query = f"SELECT repeat({value}, 3000) AS a FROM generate_series(1, 50000)"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = await asked(flow_postgres, "pg_execute", query=query, params=params)
    assert told == {"rows_affected": 50_000}
    queries = [{"query": query, "params": params}]
    told = await asked(flow_postgres, "pg_transaction", queries=queries)
    assert told == {"results": ["SELECT 50000"], "count": 1}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


async def test_postgres_holds_few_large_rows(flow_postgres: dict[str, Any]) -> None:
    """Each is a document of megabytes."""
    query = "SELECT repeat('x', 5000000) AS a FROM generate_series(1, 80)"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = await asked(flow_postgres, "pg_query", query=query)
    assert (told["truncated"], told["count"]) == (True, 1)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 250 * 1024


async def test_a_query_of_several_statements_is_refused_with_the_way_out(
    flow_postgres: dict[str, Any],
) -> None:
    """Before any is carried out; pg_execute and pg_transaction take several."""
    several = "CREATE TABLE several (a int); INSERT INTO several VALUES (1), (2)"
    with pytest.raises(FlowExecutionError, match="query failed: pg_query takes one statement: g"):
        await asked(flow_postgres, "pg_query", query=several)
    with pytest.raises(FlowExecutionError, match="syntax error"):
        await asked(flow_postgres, "pg_query", query="SELEKT 1")
    assert await asked(flow_postgres, "pg_execute", query=several) == {"rows_affected": 0}
    queries = [{"query": each} for each in ("SELECT a FROM several", "DROP TABLE several")]
    told = await asked(flow_postgres, "pg_transaction", queries=queries)
    assert told["results"] == ["SELECT 2", "DROP TABLE"]


async def test_errors_of_statements_without_wanted_rows_are_reported(
    flow_postgres: dict[str, Any],
) -> None:
    """In the first and a later statement, and after rows; the connection is of use afterwards."""
    later = "SELECT 1 / (3 - n) FROM generate_series(1, 5) AS n"
    for query in (later, f"SELECT 1; {later}", f"{later}; SELECT 1"):
        with pytest.raises(FlowExecutionError, match=r"execute failed: .*division by zero"):
            await asked(flow_postgres, "pg_execute", query=query)
    for task in ("pg_execute", "pg_query"):
        with pytest.raises(FlowExecutionError, match="COPY"):
            await asked(flow_postgres, task, query="COPY (SELECT 1) TO STDOUT")
    assert await asked(flow_postgres, "pg_execute", query="") == {"rows_affected": 0}


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


@pytest.mark.parametrize("is_old", [False, True])
async def test_redis_sends_no_value_that_is_not_kept(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, is_old: bool
) -> None:
    """Its size is asked for first; before Redis 7.4 names come with values, a few at a time."""
    plugin = RedisPlugin()
    await plugin.connect({"url": redis_url, "max_bytes": 3000})
    try:
        connection, tasks = await plugin.get_connection(), plugin.get_builtin_tasks()
        values = {f"f{number:03}": "v" * 500_000 for number in range(60)}
        await connection.hset("h", mapping=values)
        if is_old:
            monkeypatch.setattr(connection, "hscan", _without_no_values(connection.hscan))
        before = (await connection.info("stats"))["total_net_output_bytes"]
        assert await tasks["redis_hgetall"](key="h", connection=connection) == {
            "hash": {},
            "truncated": True,
        }
        sent = (await connection.info("stats"))["total_net_output_bytes"] - before
        assert sent < (10_000_000 if is_old else 20_000)
        await connection.hset("small", mapping={"a": "1", "b": "2"})
        told = await tasks["redis_hgetall"](key="small", connection=connection)
        assert told == {"hash": {"a": "1", "b": "2"}}
    finally:
        await connection.delete("h", "small")
        await plugin.disconnect()


def _without_no_values(scan: Any) -> Any:
    """`hscan` as Redis before 7.4 answers it."""

    async def older(*arguments: Any, no_values: bool = False, **options: Any) -> Any:
        if no_values:
            raise ResponseError("syntax error")
        return await scan(*arguments, **options)

    return older


def test_the_first_row_that_does_not_fit_ends_a_result() -> None:
    """A smaller one after it is not taken, so that what is kept is a beginning."""
    kept = Kept[str](most_rows=10, most_bytes=20)
    assert [kept.add(each) for each in ("a" * 10, "b" * 10, "c")] == [True, False, False]
    assert (kept.rows, kept.told) == (["a" * 10], {"truncated": True})
    assert size_of({"a": ["x" * 100, {"b": b"y" * 100}, 1, None]}) >= 200
