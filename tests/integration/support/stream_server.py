"""A server of byte streams that leaves no connection behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

HOST = "127.0.0.1"
STEPS = 20
"""Turns of the loop: more than lie between an accepted connection and its end of a handshake."""

type Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def stream_server(handle: Handle) -> AsyncIterator[int]:
    """The port of a server whose connections end with it.

    Those of `asyncio.start_server` stay if their handler goes on, or if they are being accepted at
    that moment, as those of a client's monitor may be; a later test is then warned of the socket.
    """
    transports: list[asyncio.BaseTransport] = []

    class Protocol(asyncio.StreamReaderProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transports.append(transport)
            super().connection_made(transport)

    server = await asyncio.get_running_loop().create_server(
        lambda: Protocol(asyncio.StreamReader(), handle), HOST, 0
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await accepted_connections()
        for transport in transports:
            transport.close()
        await accepted_connections()
        await server.wait_closed()


async def accepted_connections() -> None:
    """Let a closed server's connections begin, and those end whose client has gone."""
    for _ in range(STEPS):
        await asyncio.sleep(0)
