"""GET /live and /ready for health checks, and /metrics for Prometheus.

Requests are answered on an event loop in a separate thread, also while the service's event loop is
blocked. `HealthLimits` bounds the number of connections, the size of a request's head, and the time
for sending it and for reading the answer. A connection beyond the limit replaces the one whose last
request is the oldest. So clients that open connections without sending a request neither block
health checks nor use up the file descriptors of the process.
"""

import asyncio
import contextlib
import json
import logging
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from core.concurrency.thread_pool import in_own_thread
from core.errors import ConfigurationError
from core.listening import listening_socket, refused
from core.settings import Settings

log = logging.getLogger(__name__)

type Checks = Callable[[], Mapping[str, bool]]
type Warnings = Callable[[], Sequence[str]]
"""Warnings that `/ready` shows beside the checks; they do not change its status."""
type Metrics = Callable[[str], tuple[bytes, str]]
"""Given an Accept header: the page, and its content type."""

BACKLOG = 128
"""Connections that the kernel keeps until they are accepted."""
NO_DESCRIPTOR_PAUSE = 0.1
"""Seconds until the next accept when the process has no file descriptor left."""
END_OF_HEAD = b"\r\n\r\n"
_VERSIONS = ("HTTP/1.0", "HTTP/1.1")


class Request(NamedTuple):
    """The head of an HTTP/1 request."""

    method: str
    path: str
    headers: dict[str, str]
    """By name in lower case; the last value of a repeated header."""
    version: str

    @property
    def keeps_open(self) -> bool:
        """Whether the connection stays open; never after a body, because bodies are not read."""
        if "content-length" in self.headers or "transfer-encoding" in self.headers:
            return False
        asked = self.headers.get("connection", "").lower()
        return asked == "keep-alive" if self.version == "HTTP/1.0" else asked != "close"


class Answer(NamedTuple):
    """An HTTP/1.1 response."""

    status: int
    content: bytes
    content_type: str = "application/json"

    def to_bytes(self, request: Request | None) -> bytes:
        """The bytes to send. `request` is None if it could not be parsed; the connection closes."""
        connection = "keep-alive" if request and request.keeps_open else "close"
        head = (
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\n"
            f"Content-Type: {self.content_type}\r\n"
            f"Content-Length: {len(self.content)}\r\n"
            f"Connection: {connection}\r\n\r\n"
        )
        without_body = request is not None and request.method == "HEAD"
        return head.encode("latin-1") + (b"" if without_body else self.content)


def request_of(head: bytes) -> Request | None:
    """Parse a head, which ends with the empty line; None if it is not an HTTP/1 request."""
    first, *lines = head.decode("latin-1").strip("\r\n").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or words[2] not in _VERSIONS:
        return None
    headers = (line.partition(":") for line in lines)
    named = {name.strip().lower(): value.strip() for name, _, value in headers}
    return Request(words[0], words[1], named, words[2])


class HealthLimits(NamedTuple):
    """Limits for the clients of the health port."""

    connections: int = 64
    seconds: float = 5.0
    """For the head of a request, and again for the answer."""
    head_bytes: int = 16_384


LIMITS = HealthLimits()


def health_server(
    settings: Settings, checks: Checks, metrics: Metrics, warnings: Warnings = tuple
) -> "HealthServer | None":
    """The server on HEALTH_PORT; None without that setting.

    Raises:
        ConfigurationError: when the port is in use.
    """
    port = settings.health_port
    if port is None:
        return None
    limits = HealthLimits(
        settings.health_max_connections,
        settings.health_header_timeout,
        settings.health_header_bytes,
    )
    try:
        return HealthServer(settings.health_host, port, checks, metrics, warnings, limits)
    except OSError as error:
        msg = refused("HEALTH", settings.health_host, port, error)
        raise ConfigurationError(msg) from None


class HealthServer:
    """Answers `/live` with 200, `/ready` with 200 or 503 and the checks, and `/metrics`."""

    def __init__(
        self,
        host: str,
        port: int,
        checks: Checks,
        metrics: Metrics,
        warnings: Warnings = tuple,
        limits: HealthLimits = LIMITS,
    ) -> None:
        """`checks` and `warnings` are called on the server's loop and must not block.

        `metrics` may block: it is called in a thread, one call at a time.

        Raises:
            OSError: when the port is in use.
        """
        self._checks = checks
        self._metrics = metrics
        self._warnings = warnings
        self._limits = limits
        self._listener = listening_socket(host, port, BACKLOG)
        self._port = int(self._listener.getsockname()[1])
        self._stop = asyncio.Event()
        self._rendering = asyncio.Lock()
        self._connections: OrderedDict[asyncio.Task[None], socket.socket] = OrderedDict()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._serve, name="health", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return len(self._connections)

    def start(self) -> None:
        """Start the thread that answers requests."""
        self._loop = asyncio.SelectorEventLoop()
        self._thread.start()

    def close(self) -> None:
        """End the thread and all connections."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            self._loop.close()
        self._listener.close()

    # In the server's thread

    def _serve(self) -> None:
        assert self._loop is not None
        self._loop.run_until_complete(self._until_closed())

    async def _until_closed(self) -> None:
        accepting = asyncio.create_task(self._accept())
        await self._stop.wait()
        tasks = asyncio.all_tasks() - {_this_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert accepting.done()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._listener)
            except OSError:  # no file descriptor is left, or the client has gone
                await asyncio.sleep(NO_DESCRIPTOR_PAUSE)
                continue
            await self._make_room()
            task = asyncio.create_task(self._serve_connection(connection))
            self._connections[task] = connection
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._connections.pop(task).close()

    async def _make_room(self) -> None:
        """Close the connections with the oldest requests until one more is within the limit."""
        while len(self._connections) >= self._limits.connections:
            oldest = next(iter(self._connections))
            oldest.cancel()
            await asyncio.wait([oldest])

    async def _serve_connection(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(
            sock=connection, limit=self._limits.head_bytes
        )
        writer.transport.set_write_buffer_limits(0)  # `drain` waits until all is written
        try:
            with contextlib.suppress(OSError, EOFError, TimeoutError):
                while await self._answer_next(reader, writer):
                    self._connections.move_to_end(_this_task())
        finally:
            writer.transport.abort()

    async def _answer_next(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Read one request and write its answer; True if the connection stays open."""
        try:
            async with asyncio.timeout(self._limits.seconds):
                head = await reader.readuntil(END_OF_HEAD)
        except asyncio.LimitOverrunError:
            request, answer = None, _refusal(431, "the request's head is too long")
        else:
            request = request_of(head)
            answer = await self._answered(request)
        async with asyncio.timeout(self._limits.seconds):
            writer.write(answer.to_bytes(request))
            await writer.drain()
        return request is not None and request.keeps_open

    async def _answered(self, request: Request | None) -> Answer:
        try:
            return await self._answer(request)
        except Exception:  # a check or a metric raised; later requests may succeed
            log.exception("health request failed")
            return _refusal(500, "it failed; the log says how")

    async def _answer(self, request: Request | None) -> Answer:
        if request is None:
            return _refusal(400, "this is no HTTP/1.1 request")
        if request.method not in ("GET", "HEAD"):
            return _refusal(405, "there are GET and HEAD")
        path = request.path.partition("?")[0]
        if path == "/live":
            return _json(200, {"live": True})
        if path == "/ready":
            checks, warnings = dict(self._checks()), list(self._warnings())
            shown = {"warnings": warnings} if warnings else {}
            return _json(200 if all(checks.values()) else 503, checks | shown)
        if path == "/metrics":
            return Answer(200, *await self._page(request.headers.get("accept", "")))
        return _refusal(404, "there are /live, /ready and /metrics")

    async def _page(self, accept: str) -> tuple[bytes, str]:
        """Hold the lock until the thread has ended, even after the client has disconnected."""
        await self._rendering.acquire()
        page = asyncio.ensure_future(in_own_thread(self._metrics, accept))
        page.add_done_callback(lambda _: self._rendering.release())
        return await asyncio.shield(page)


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


def _json(status: int, body: Mapping[str, Any]) -> Answer:
    return Answer(status, json.dumps(body).encode())


def _refusal(status: int, error: str) -> Answer:
    return _json(status, {"error": error})
