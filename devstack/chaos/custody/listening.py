"""A server of a scenario: it listens while its context lasts."""

import asyncio
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from devstack.servers.ports import HOST


class Listening(ABC):
    """A context manager; `port` is known inside."""

    port = 0

    async def __aenter__(self) -> Self:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, HOST)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the port and all connections."""
        self._server.close()
        await self._end_connections()

    @abstractmethod
    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""

    @abstractmethod
    async def _end_connections(self) -> None:
        """Close those that are open."""
