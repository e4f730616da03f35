"""Time limits of statements, enforced by the server, and by the client if the server hangs.

The limit is sent with the statement, as `SET LOCAL` in the same message, and ends with the
transaction. Behind a pooler in transaction mode, a setting of the session would affect other
clients.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
from psycopg import AsyncClientCursor, AsyncConnection, AsyncCursor

_LIMITS = b"""
SELECT set_config('statement_timeout', %(seconds)s::text, true),
    set_config('lock_timeout', %(lock_seconds)s::text, true)
"""

GRACE = 2.0
"""Extra seconds for the server to report the time-out itself, which keeps the connection usable."""

type Connection = AsyncConnection[tuple[Any, ...]]


async def limited(
    connection: Connection, seconds: float, statement: bytes, values: Mapping[str, Any]
) -> list[tuple[Any, ...]]:
    """Execute one statement as a transaction and return its rows, empty without a result.

    Raises:
        psycopg.OperationalError: if it takes longer than `seconds`.
    """
    async with time_limit(connection, seconds), AsyncClientCursor(connection) as cursor:
        # Values as literals in a simple query: only that protocol allows two statements in one
        # message, which the server executes as one transaction.
        await cursor.execute(limit(seconds) + statement, values)
        cursor.nextset()  # skip the result of SET
        return await cursor.fetchall() if cursor.description else []


async def limited_binary(
    connection: Connection,
    seconds: float,
    lock_seconds: float,
    statement: bytes,
    values: Mapping[str, Any],
) -> None:
    """Execute one statement without a result as a transaction, with its values beside it.

    Raises:
        psycopg.OperationalError: if it takes longer than `seconds`, or waits longer than
            `lock_seconds` for one lock.
    """
    limits = {"seconds": _milliseconds(seconds), "lock_seconds": _milliseconds(lock_seconds)}
    async with (
        time_limit(connection, seconds),
        # One message each way. Up to its end all statements are one transaction.
        connection.pipeline(),
        AsyncCursor(connection) as cursor,
    ):
        await cursor.execute(_LIMITS, limits)
        await cursor.execute(statement, values)


def limit(seconds: float) -> bytes:
    """The SQL prefix that limits each further statement of a transaction."""
    return f"SET LOCAL statement_timeout = {_milliseconds(seconds)}; ".encode()


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))  # 0 means no limit


@asynccontextmanager
async def time_limit(connection: Connection, seconds: float) -> AsyncIterator[None]:
    """Shut the connection down if the block takes longer than `seconds` plus `GRACE`.

    Raises:
        psycopg.OperationalError: after that time.
    """
    expired = asyncio.Event()
    loop = asyncio.get_running_loop()
    expiry = loop.call_later(seconds + GRACE, _shut_down, connection, expired)
    try:
        yield
    except psycopg.OperationalError as error:
        if not expired.is_set():
            raise
        raise psycopg.OperationalError(f"no answer within {seconds:g} seconds") from error
    finally:
        expiry.cancel()


def _shut_down(connection: Connection, expired: asyncio.Event) -> None:
    expired.set()
    # Not cancelled: psycopg would wait for the hanging server's confirmation. Not closed: the event
    # loop still uses the descriptor. A shutdown wakes up the coroutine that waits for the socket.
    with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as shared:
        shared.shutdown(socket.SHUT_RDWR)
