"""The proxy between a plugin and its peers."""

from __future__ import annotations

import asyncio
from typing import Any

from devstack.conformance.proxy import HOST, ToxicProxy
from devstack.conformance.redirect import Upstream


class Slow(ToxicProxy):
    """Its way back ends late when the way out has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.ending = asyncio.Event()

    async def _back(self, *_: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.ending.set()
            await asyncio.Event().wait()


async def test_a_connection_that_is_dropped_while_it_ends() -> None:
    """The one to the peer is closed all the same."""
    ended = asyncio.Event()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        ended.set()
        writer.close()

    server = await asyncio.start_server(peer, HOST, 0)
    upstream = Upstream(HOST, server.sockets[0].getsockname()[1])
    proxy = Slow()
    listened = await proxy._start(upstream)
    _, writer = await asyncio.open_connection(*listened)
    writer.close()
    await proxy.ending.wait()
    dropping = asyncio.ensure_future(proxy._close())
    await asyncio.wait_for(ended.wait(), 10)
    await dropping
    await writer.wait_closed()
    server.close()
    await server.wait_closed()
    proxy._loop.close()
