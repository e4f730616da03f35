"""Time limits of statements. The server keeps them itself, unless it has stopped answering."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
from psycopg import AsyncConnection

GRACE = 2.0
"""Seconds for the server to say itself that time is up, which leaves the connection whole."""

type Connection = AsyncConnection[tuple[Any, ...]]


async def limit_server(connection: Connection, seconds: float) -> None:
    """Have the server give up any statement of this connection that takes longer."""
    # Not when connecting: there are poolers before servers that refuse a setting they do not know.
    milliseconds = str(max(1, round(seconds * 1000)))  # 0 would be no limit
    async with time_limit(connection, seconds):
        await connection.execute(
            "SELECT set_config('statement_timeout', %s, false)", [milliseconds]
        )


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
