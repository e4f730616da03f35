"""Errors of built-in plugins tell the breaker of their destination what has failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from devstack.servers.ports import HOST, free_port
from lib.connections import ConnectionFailedError, _outputs
from lib.web.http_retry import HttpRetry
from lib.web.webhooks import DeliveryError, deliver_to_all
from pipeline.destinations.failures import outcome_of

ONCE = HttpRetry(timeout=5.0, retries=0, backoff=0.0)


@asynccontextmanager
async def receiver(*heads: str) -> AsyncIterator[str]:
    """The URL of a server that answers its requests with these heads, one after the other."""
    left = list(heads)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {left.pop(0)}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, HOST, 0)
    async with server:
        yield "http://{}:{}/".format(*server.sockets[0].getsockname())


@pytest.mark.parametrize(
    ("head", "outcome"),
    [
        ("500 No", "failed"),
        ("429 No", "failed"),
        ("503 No\r\nRetry-After: 86400", "failed"),
        ("400 No", "ok"),
        ("404 No", "ok"),
    ],
)
async def test_a_receiver_that_refuses(head: str, outcome: str) -> None:
    """429 and 5xx are the receiver's, however long it says to wait; others are the message's."""
    async with receiver(head) as url:
        with pytest.raises(DeliveryError) as raised:
            await deliver_to_all([url], b"{}", {}, ONCE)
    assert outcome_of(raised.value) == outcome


async def test_receivers_of_which_one_is_away() -> None:
    """That counts, whichever answers the other gives."""
    async with receiver("400 No") as url:
        away = f"http://{HOST}:{free_port()}/"
        with pytest.raises(DeliveryError) as raised:
            await deliver_to_all([url, away], b"{}", {}, ONCE)
    assert outcome_of(raised.value) == "failed"


@pytest.mark.parametrize(
    ("kind", "cause", "outcome"),
    [
        ("TimeoutError", "", "failed"),
        ("FlowExecutionError", "ConnectionError: refused", "failed"),
        ("FlowExecutionError", "OperationalError: server closed the connection", "failed"),
        ("FlowExecutionError", "UndefinedTable: no such table", "neither"),
    ],
)
def test_a_task_of_a_connection_that_fails(kind: str, cause: str, outcome: str) -> None:
    """Its result names the error, and the one behind it."""
    result = {"success": False, "error": "no", "error_type": kind, "cause": cause}
    with pytest.raises(ConnectionFailedError) as raised:
        _outputs("pg_query of db", result)
    assert outcome_of(raised.value) == outcome
