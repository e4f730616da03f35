"""One pool of connections for each set of options, made when it is first wanted.

A pool belongs to the event loop it was made on, so a process that forks later has its own. Whoever
asks first makes it, together with the table; others who ask meanwhile wait for the same. A pool
that could not be made is forgotten: the next one who asks tries again.
"""

import asyncio
from asyncio import AbstractEventLoop, Task
from collections.abc import Mapping
from contextvars import Context
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from storage.postgres.limits import Connection, limit, limited, time_limit
from storage.postgres.options import Options
from storage.postgres.table import Statements, statements

CONNECT_TIMEOUT = 10
"""Seconds to wait for a connection, be it a new one or one that others have in use."""

CHECK_TIMEOUT = 2
"""Seconds that an idle connection has to show that it is alive."""

TABLE_LOCK = 7_237_941_846_022_136_421
"""The advisory lock under which a table is made: any number that nobody else locks by."""


class _Pool(AsyncConnectionPool[Connection]):
    """A pool that does not wait for ever when it looks at its connections."""

    @staticmethod
    async def check_connection(conn: Connection) -> None:
        """Raises what psycopg does for one that is dead, or frozen."""
        async with time_limit(conn, CHECK_TIMEOUT):
            await conn.execute("")


_pools: WeakKeyDictionary[AbstractEventLoop, dict[Options, Task[_Pool]]] = WeakKeyDictionary()


async def rows(
    options: Options, statement: bytes, values: Mapping[str, Any]
) -> list[tuple[Any, ...]]:
    """Carry out one statement; the rows it gives, none for one that gives none.

    Raises:
        psycopg.Error: what the database says; `OperationalError` when it cannot be reached, or
            takes longer than `options.timeout`.
    """
    pool = await _pool(options)
    try:
        async with pool.connection() as connection:
            return await limited(connection, options.timeout, statement, values)
    except psycopg.OperationalError:
        # When a server restarts, all its connections are dead, not just this one: the next
        # attempt would get another of them. To the end, even if nobody waits any more: those that
        # are being looked at are not in the pool, and would be lost to it.
        await asyncio.shield(pool.check())
        raise


async def close() -> None:
    """Close the pools of this event loop; they are made anew when they are wanted again."""
    pools = _pools.pop(asyncio.get_running_loop(), {})
    for outcome in await asyncio.gather(*pools.values(), return_exceptions=True):
        if isinstance(outcome, AsyncConnectionPool):
            await outcome.close()


async def _pool(options: Options) -> _Pool:
    loop = asyncio.get_running_loop()
    pools = _pools.setdefault(loop, {})
    if options not in pools:
        # A context of its own: the pool outlives the run that happens to be the first.
        pools[options] = loop.create_task(_opened(options), context=Context())
        pools[options].add_done_callback(lambda task: _forget_failed(pools, options, task))
    return await asyncio.shield(pools[options])


def _forget_failed(pools: dict[Options, Task[_Pool]], options: Options, task: Task[_Pool]) -> None:
    if task.cancelled() or task.exception():
        pools.pop(options, None)


async def _opened(options: Options) -> _Pool:
    settings = _connection_settings(options)
    # Not through the pool, which would keep trying and not say what is wrong.
    connected = await AsyncConnection.connect(**settings)
    async with connected as connection, time_limit(connection, options.timeout):
        await _make_table(connection, statements(options.table_name), options.timeout)
    pool = _Pool(
        kwargs=settings,
        min_size=1,
        max_size=options.pool_size,
        timeout=CONNECT_TIMEOUT,
        open=False,
    )
    await pool.open()
    return pool


async def _make_table(connection: Connection, table: Statements, seconds: float) -> None:
    """Make the table if it is missing. Many processes may start at once: they take turns."""
    # Looked for first: who may not create tables can still use one that is there.
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
        "connect_timeout": CONNECT_TIMEOUT,
        "application_name": "patchcord",
        "autocommit": True,
        "prepare_threshold": None,  # a pooler may give each statement another server connection
    }
