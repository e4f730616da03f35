"""A MongoDB over SQLite, in the process of the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.integration.support.stream_server import HOST, stream_server
from tests.plugins.scene import Later

handlers, servers = Later("nx_27017.handler"), Later("nx_27017.server")


@asynccontextmanager
async def mongo_server() -> AsyncIterator[str]:
    """The URL of one that holds nothing."""
    handler = handlers.NeoSQLiteHandler(":memory:")
    async with stream_server(
        lambda reader, writer: servers.handle_client(reader, writer, handler)
    ) as port:
        yield f"mongodb://{HOST}:{port}/"
