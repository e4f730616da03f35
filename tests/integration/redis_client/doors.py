"""A door before Redis: an address whose server can be changed, and whose connections can be cut."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from devstack.servers.ports import HOST


class Door:
    """Passes connections on to `port`, as it is when they are opened."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = ""
        self.cut_reply_to = b""
        """A command with these bytes is passed on; the connection ends in place of its reply."""
        self._clients: list[asyncio.StreamWriter] = []

    async def pass_through(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Serve one connection."""
        self._clients.append(writer)
        theirs, ours = await asyncio.open_connection(HOST, self.port)
        await asyncio.gather(self._commands(reader, ours, writer), self._replies(theirs, writer))

    def cut(self) -> None:
        """End all connections."""
        for writer in self._clients:
            writer.transport.abort()

    async def _commands(
        self,
        reader: asyncio.StreamReader,
        ours: asyncio.StreamWriter,
        writer: asyncio.StreamWriter,
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while content := await reader.read(65536):
                if self.cut_reply_to and self.cut_reply_to in content:
                    self.cut_reply_to = b""
                    self._clients.remove(writer)
                ours.write(content)
        ours.close()

    async def _replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while content := await reader.read(65536):
                if writer not in self._clients:
                    writer.transport.abort()
                    break
                writer.write(content)
        writer.close()


@asynccontextmanager
async def door(port: int) -> AsyncIterator[Door]:
    """A door before the Redis at a port."""
    opened = Door(port)
    async with await asyncio.start_server(opened.pass_through, HOST, 0) as server:
        opened.url = f"redis://{HOST}:{server.sockets[0].getsockname()[1]}/0"
        try:
            yield opened
        finally:
            opened.cut()
