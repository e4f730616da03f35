"""Time limits of statements. The server keeps them itself, unless it has stopped answering.

The limit travels with the statement, as `SET LOCAL` in the same message, and ends with it. Behind a
pooler that hands out connections by transaction, a setting of the session would go to others.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
from psycopg import AsyncClientCursor, AsyncConnection

GRACE = 2.0
"""Seconds for the server to say itself that time is up, which leaves the connection whole."""

type Connection = AsyncConnection[tuple[Any, ...]]


async def limited(
    connection: Connection, seconds: float, statement: bytes, values: Mapping[str, Any]
) -> list[tuple[Any, ...]]:
    """Carry out one statement as a transaction; the rows it gives, none for one that gives none.

    Raises:
        psycopg.OperationalError: when it takes longer than `seconds`.
    """
    async with time_limit(connection, seconds), AsyncClientCursor(connection) as cursor:
        # Values as literals in one simple query: the server keeps to two statements in one message
        # only so, and takes them for one transaction.
        await cursor.execute(limit(seconds) + statement, values)
        cursor.nextset()  # the first result is that of SET
        return await cursor.fetchall() if cursor.description else []


def limit(seconds: float) -> bytes:
    """What gives the rest of a transaction so many seconds for each statement."""
    milliseconds = max(1, round(seconds * 1000))  # 0 would be no limit
    return b"SET LOCAL statement_timeout = %d; " % milliseconds


@asynccontextmanager
async def time_limit(connection: Connection, seconds: float) -> AsyncIterator[None]:
    """Break the connection off if the block takes longer, and `GRACE` besides.

    Raises:
        psycopg.OperationalError: when it does.
    """
    expired = asyncio.Event()
    loop = asyncio.get_running_loop()
    expiry = loop.call_later(seconds + GRACE, _break_off, connection, expired)
    try:
        yield
    except psycopg.OperationalError as error:
        if not expired.is_set():
            raise
        raise psycopg.OperationalError(f"no answer within {seconds:g} seconds") from error
    finally:
        expiry.cancel()


def _break_off(connection: Connection, expired: asyncio.Event) -> None:
    expired.set()
    # Not by cancelling: psycopg would wait for a frozen server to confirm that. Nor closed, which
    # would take the descriptor from under the event loop; whoever waits on it wakes up.
    with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as shared:
        shared.shutdown(socket.SHUT_RDWR)
