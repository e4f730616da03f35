"""The development Plugboard: start, stop, kill, restart."""

import asyncio
import secrets
from typing import Self

from devstack.plugboard.administration import USER, AdminApi
from devstack.plugboard.board.board import Board
from devstack.plugboard.connections.caller_connection import CallerConnection
from devstack.plugboard.hub import Hub
from devstack.plugboard.operations import Operations
from devstack.plugboard.settings import PlugboardSettings

_BACKLOG = 1_024


class DevelopmentPlugboard(Operations):
    """A server with the measured behaviour of the real Plugboard, for development and tests.

    WebSocket, callers' API and admin API share one port. As a context manager it starts on entry
    and stops on exit, closing all connections.
    """

    def __init__(self, settings: PlugboardSettings | None = None) -> None:
        super().__init__(settings or PlugboardSettings())
        self._port = self.settings.port
        self._server: asyncio.Server | None = None
        self._admin_token = secrets.token_urlsafe(24)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop(drain_timeout=0)

    @property
    def running(self) -> bool:
        """Whether it accepts connections."""
        return self._server is not None

    @property
    def port(self) -> int:
        """The port, kept over restarts; 0 before the first start if none was set."""
        return self._port

    @property
    def http_url(self) -> str:
        """Where callers POST."""
        host = self.settings.host
        return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{self._port}/"  # noqa: S104 - a comparison

    @property
    def websocket_url(self) -> str:
        """Where consumers connect, without token and actions."""
        return self.http_url.replace("http", "ws", 1) + "websocket"

    @property
    def admin_url(self) -> str:
        """The URL of the admin API, with user and password; loopback only."""
        return f"{self.http_url.replace('://', f'://{USER}:{self._admin_token}@', 1)}_dev"

    async def start(self) -> None:
        """Start listening, without consumers and pending requests; raises OSError."""
        if self._server is not None:
            raise RuntimeError("the board is running already")
        board = Board(self.settings, self.directory, self.faults)
        hub = Hub(self.settings, board, self.faults, self._watch.changed)
        door = AdminApi(self, self._admin_token)
        self._server = await asyncio.get_running_loop().create_server(
            lambda: CallerConnection(hub, door), self.settings.host, self._port, backlog=_BACKLOG
        )
        self._board, self._hub = board, hub
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self, drain_timeout: float | None = None) -> None:
        """Stop as on SIGTERM: 1012 to consumers, 1000 to unjoined sockets, then callers are cut."""
        if self._server is None:
            return
        self._server.close()
        for consumer in self.consumers:
            consumer.close(1012 if consumer.joined else 1000)
        limit = self.settings.drain_timeout if drain_timeout is None else drain_timeout
        await self._drain(limit)
        await self._finish()

    async def kill(self) -> None:
        """Stop as on SIGKILL: every connection is cut at once."""
        if self._server is None:
            return
        self._server.close()
        for consumer in self.consumers:
            consumer.abort()
        await self._finish()

    async def restart(self) -> None:
        """Stop without a drain and start again on the same port with the same tokens."""
        await self.stop(drain_timeout=0)
        await self.start()

    async def _drain(self, limit: float) -> None:
        callers = self._running_hub().callers
        try:
            await self.wait_for(lambda: not any(caller.waiting for caller in callers), limit)
        except TimeoutError:
            return

    async def _finish(self) -> None:
        hub, server = self._running_hub(), self._server
        assert server is not None
        self._server = None
        hub.shut()
        for caller in list(hub.callers):
            caller.abort()
        await server.wait_closed()

    def _running_hub(self) -> Hub:
        assert self._hub is not None, "the board was started"
        return self._hub
