"""Redirects of the handshake: the token goes to no other host than the configured one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from core.plugboard.reconnect import CloseKind, CloseReason
from core.plugboard.session import Limits, try_connection
from tests.canaries import canary

TOKEN = canary("redirect-canary-51ab")


@dataclass
class Server:
    """An HTTP server on a loopback port that answers every request with one text."""

    answer: str
    port: int = 0
    requests: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request."""
        self.requests.append((await reader.readline()).decode())
        writer.write(self.answer.encode())
        await writer.drain()
        writer.close()


@asynccontextmanager
async def listening(answer: str, host: str = "127.0.0.1") -> AsyncIterator[Server]:
    """Such a server."""
    server = Server(answer)
    async with await asyncio.start_server(server.serve, host, 0) as running:
        server.port = running.sockets[0].getsockname()[1]
        yield server


def redirect(status: int, where: str) -> str:
    """An answer that sends the client elsewhere, with the query that has the token."""
    return (
        f"HTTP/1.1 {status} Moved\r\nlocation: {where}?token={TOKEN}\r\ncontent-length: 0\r\n\r\n"
    )


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.2"])
async def test_another_host_or_port_is_not_connected_to(status: int, host: str) -> None:
    """Other names, addresses and ports."""
    async with listening("HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n", "0.0.0.0") as other:
        async with listening(redirect(status, f"ws://{host}:{other.port}/")) as server:
            reason = await try_connection(f"ws://127.0.0.1:{server.port}/x?token={TOKEN}", Limits())
        assert (other.requests, len(server.requests)) == ([], 1)
    assert isinstance(reason, CloseReason)
    assert reason.kind is CloseKind.ANSWERED
    assert "redirects to another host" in reason.text
    assert TOKEN not in reason.text


async def test_another_path_of_the_same_host_is_followed() -> None:
    """Until there are too many."""
    async with listening(redirect(307, "/elsewhere")) as server:
        reason = await try_connection(f"ws://127.0.0.1:{server.port}/x?token={TOKEN}", Limits())
    assert isinstance(reason, CloseReason)
    assert server.requests[1].startswith("GET /elsewhere")
