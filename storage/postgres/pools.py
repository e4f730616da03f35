"""Connection pools per event loop and set of options, created at first use.

The first caller creates the pool and the table; concurrent callers wait for the same task. If that
fails, the task is removed, and the next caller tries again.
"""

import asyncio
from asyncio import AbstractEventLoop, Task
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from math import ceil
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from storage.postgres.limits import Connection, limit, limited, limited_binary, time_limit
from storage.postgres.options import Options
from storage.postgres.table import Row, Statements, columns, statements

CONNECT_TIMEOUT = 10
"""Seconds to wait for a new connection, or for a free one of the pool; fewer if `timeout` is."""

CHECK_TIMEOUT = 2
"""Seconds for the check of an idle connection."""

LOCK_SECONDS = 1.0
"""Seconds that a statement for several vCons waits for a row that another client has locked; then
each of them is written by itself, and only that one waits."""

TABLE_LOCK = 7_237_941_846_022_136_421
"""The advisory lock for creating the table; an arbitrary number, unlikely to be in use."""


class _Pool(AsyncConnectionPool[Connection]):
    """A pool whose check of connections has a time limit."""

    @staticmethod
    async def check_connection(conn: Connection) -> None:
        """Raises `psycopg.OperationalError` if the server has closed the connection or hangs."""
        async with time_limit(conn, CHECK_TIMEOUT):
            await conn.execute("")


_pools: WeakKeyDictionary[AbstractEventLoop, dict[Options, Task[_Pool]]] = WeakKeyDictionary()


async def rows(
    options: Options, statement: bytes, values: Mapping[str, Any]
) -> list[tuple[Any, ...]]:
    """Execute one statement and return its rows, empty without a result.

    Raises:
        psycopg.Error: the database's error; `OperationalError` if it cannot be reached or takes
            longer than `options.timeout`.
    """
    async with _connection(options) as connection:
        return await limited(connection, options.timeout, statement, values)


async def upsert(options: Options, rows: Sequence[Row]) -> None:
    """Write rows with different ids in one statement, all of them or none.

    Raises:
        psycopg.Error: as with `rows`. Several rows wait for one lock for `LOCK_SECONDS` at most.
    """
    lock = options.timeout if len(rows) == 1 else min(options.timeout, LOCK_SECONDS)
    statement = statements(options.table_name).upsert
    async with _connection(options) as connection:
        await limited_binary(connection, options.timeout, lock, statement, columns(rows))


def fails_one(error: Exception) -> bool:
    """Whether an error of several rows may be that of one of them.

    Not if the connection was lost, or if the server is shutting down.
    """
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:  # libpq's, or a value that psycopg did not send
        return isinstance(error, psycopg.DataError)
    return not error.sqlstate.startswith(("08", "57P"))


@asynccontextmanager
async def _connection(options: Options) -> AsyncIterator[Connection]:
    pool = await _pool(options)
    try:
        async with pool.connection() as connection:
            yield connection
    except psycopg.OperationalError:
        # After a restart of the server all connections are dead, and the next attempt would get
        # another dead one. Shielded: a cancelled check would lose the connections it has taken
        # out of the pool.
        await asyncio.shield(pool.check())
        raise


async def close() -> None:
    """Close the pools of this event loop; the next call makes new ones."""
    pools = _pools.pop(asyncio.get_running_loop(), {})
    for outcome in await asyncio.gather(*pools.values(), return_exceptions=True):
        if isinstance(outcome, AsyncConnectionPool):
            await outcome.close()


async def _pool(options: Options) -> _Pool:
    loop = asyncio.get_running_loop()
    pools = _pools.setdefault(loop, {})
    if options not in pools:
        # An empty context: the pool outlives the run that creates it.
        pools[options] = loop.create_task(_opened(options), context=Context())
        pools[options].add_done_callback(lambda task: _forget_failed(pools, options, task))
    return await asyncio.shield(pools[options])


def _forget_failed(pools: dict[Options, Task[_Pool]], options: Options, task: Task[_Pool]) -> None:
    if task.cancelled() or task.exception():
        pools.pop(options, None)


async def _opened(options: Options) -> _Pool:
    settings = _connection_settings(options)
    # Not through the pool, which would retry in the background without raising the error.
    connected = await AsyncConnection.connect(**settings)
    async with connected as connection, time_limit(connection, options.timeout):
        await _make_table(connection, statements(options.table_name), options.timeout)
    pool = _Pool(
        kwargs=settings,
        min_size=1,
        max_size=options.pool_size,
        timeout=min(CONNECT_TIMEOUT, options.timeout),
        open=False,
    )
    await pool.open()
    return pool


async def _make_table(connection: Connection, table: Statements, seconds: float) -> None:
    """Create the table if it does not exist; the lock serialises processes that start together."""
    # Checked first: a user without the right to create tables can use an existing one.
    found = await connection.execute("SELECT to_regclass(%s)", [table.name])
    if await found.fetchone() == (None,):
        async with connection.transaction():
            await connection.execute(limit(seconds))
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", [TABLE_LOCK])
            await connection.execute(table.create)


def _connection_settings(options: Options) -> dict[str, Any]:
    tls = {"sslmode": options.sslmode, "sslrootcert": options.sslrootcert}
    return {
        **{name: value for name, value in tls.items() if value is not None},
        "dbname": options.database,
        "user": options.user,
        "password": options.password.get_secret_value(),
        "host": options.host,
        "port": options.port,
        "connect_timeout": ceil(min(CONNECT_TIMEOUT, options.timeout)),
        "application_name": "patchcord",
        "autocommit": True,
        "prepare_threshold": None,  # a pooler may use another server connection per statement
    }
