"""The server of the HTTP API, on the running event loop."""

import asyncio
import contextlib
import logging
import time
from email.utils import formatdate

from starlette.types import ASGIApp
from uvicorn.config import Config

from core.concurrency.aio import until_beat
from core.errors import ConfigurationError
from core.listening import listening_socket, refused
from http_api.serving.connections import Connections, ServerLimits
from http_api.serving.protocol import BoundedProtocol

log = logging.getLogger(__name__)

BACKLOG = 1024
"""Connections that the kernel keeps until they are accepted."""


class ApiServer:
    """Serves an ASGI application over HTTP/1.1, within limits.

    Signals and logging stay as they are.
    """

    def __init__(
        self, app: ASGIApp, host: str, port: int, limits: ServerLimits | None = None
    ) -> None:
        """Connections wait in the kernel until `run`.

        Raises:
            ConfigurationError: the port is in use, or the host is no address of this machine.
        """
        try:
            self._listener = listening_socket(host, port, BACKLOG)
        except OSError as error:
            raise ConfigurationError(refused("API", host, port, error)) from None
        self._port = int(self._listener.getsockname()[1])
        self._address = f"[{host}]:{self._port}" if ":" in host else f"{host}:{self._port}"
        self._connections = Connections(limits or ServerLimits())
        # uvicorn's protocol takes its options from this; nothing else of it is used
        self._config = Config(
            app, http=BoundedProtocol, ws="none", lifespan="off", interface="asgi3",
            log_config=None, proxy_headers=False,
        )  # fmt: skip
        self._config.load()
        self._server: asyncio.Server | None = None
        self._stopped = asyncio.Event()
        self._stopping: asyncio.Future[None] | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return len(self._connections)

    async def run(self) -> None:
        """Serve until stopped; a cancellation closes everything at once."""
        if self._stopped.is_set():
            return
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._protocol, sock=self._listener, backlog=BACKLOG, start_serving=False
        )
        sweeping = asyncio.create_task(self._sweep())
        try:
            await self._server.start_serving()
            log.info("HTTP API listens", extra={"address": self._address})
            await self._stopped.wait()
        finally:
            sweeping.cancel()
            self._close()

    def _protocol(self) -> BoundedProtocol:
        return BoundedProtocol(self._config, self._connections)

    async def _sweep(self) -> None:
        connections, told = self._connections, 0
        while True:
            if (second := int(time.time())) != told:
                told, date = second, formatdate(second, usegmt=True).encode("ascii")
                connections.default_headers = [(b"date", date)]
            await asyncio.sleep(until_beat(connections.sweep_seconds))
            connections.sweep()

    async def stop(self, grace: float) -> None:
        """Accept no further connection, answer what has been sent within `grace` seconds, close.

        Idle connections are closed at once. One that had a request in the last `RECENT_SECONDS`
        stays open as long, because its client may be sending the next request at this moment;
        every answer from now on says that the connection closes. May be called again; the shorter
        grace counts.
        """
        if self._stopping is None:
            self._stopping = asyncio.ensure_future(self._finish())
        await asyncio.wait([self._stopping], timeout=grace)
        self._stopping.cancel()
        self._close()
        self._stopped.set()

    async def _accept_waiting(self) -> None:
        """Accept what the kernel has connected already; closing the listener would reset it."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.setblocking(False)
                await loop.connect_accepted_socket(self._protocol, client)

    async def _finish(self) -> None:
        if self._server is None:
            return
        await self._accept_waiting()
        self._server.close()
        self._connections.stop()
        await self._connections.gone.wait()
        while tasks := self._connections.tasks:  # of clients that have gone
            await asyncio.wait(tasks)

    def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._listener.close()
        self._connections.cut_all()
        for task in self._connections.tasks:
            task.cancel()
