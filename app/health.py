"""GET /live and /ready for health checks and /metrics for Prometheus.

An event loop in a thread of its own answers, so that the service's may be blocked meanwhile. What
clients can hold is bounded: so many connections, each with so many seconds for so many bytes of a
request's head, and for taking its answer. A connection beyond the limit takes the place of the one
whose last request is the longest ago. So clients that open connections and say nothing neither keep
a health check out, nor use up the file descriptors that the rest of the service needs.
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

from core.errors import ConfigurationError
from core.settings import Settings
from core.thread_pool import in_own_thread

# HTTP/1.1 as the health port speaks it: requests without a body, answers with a length.

END_OF_HEAD = b"\r\n\r\n"
_VERSIONS = ("HTTP/1.0", "HTTP/1.1")


class Request(NamedTuple):
    """The head of one request."""

    method: str
    path: str
    headers: dict[str, str]
    """By name in lower case; of a repeated one the last."""
    version: str

    @property
    def keeps_open(self) -> bool:
        """Whether another request may follow; never behind a body, which is not read."""
        if "content-length" in self.headers or "transfer-encoding" in self.headers:
            return False
        asked = self.headers.get("connection", "").lower()
        return asked == "keep-alive" if self.version == "HTTP/1.0" else asked != "close"


class Answer(NamedTuple):
    """One response."""

    status: int
    content: bytes
    content_type: str = "application/json"

    def to_bytes(self, request: Request | None) -> bytes:
        """Its text; None stands for a request that could not be read, behind which nothing is."""
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
    """The request that a head says, up to the empty line; None: it is none of HTTP/1."""
    first, *lines = head.decode("latin-1").strip("\r\n").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or words[2] not in _VERSIONS:
        return None
    headers = (line.partition(":") for line in lines)
    named = {name.strip().lower(): value.strip() for name, _, value in headers}
    return Request(words[0], words[1], named, words[2])


log = logging.getLogger(__name__)

type Checks = Callable[[], Mapping[str, bool]]
type Warnings = Callable[[], Sequence[str]]
"""What `/ready` says beside the checks; it does not count."""
type Metrics = Callable[[str], tuple[bytes, str]]
"""Given an Accept header: the page, and its content type."""

BACKLOG = 128
"""Connections that the kernel keeps until they are accepted."""
NO_DESCRIPTOR_PAUSE = 0.1
"""Seconds until the next try when the process has no file descriptor left."""


class HealthLimits(NamedTuple):
    """What clients of the health port may take."""

    connections: int = 64
    seconds: float = 5.0
    """For the head of a request, and for taking an answer."""
    head_bytes: int = 16_384


LIMITS = HealthLimits()


def health_server(
    settings: Settings, checks: Checks, metrics: Metrics, warnings: Warnings = tuple
) -> "HealthServer | None":
    """The server that the settings ask for, if any.

    Raises:
        ConfigurationError: when its port is taken.
    """
    port = settings.health_port
    if port is None:
        return None
    limits = HealthLimits(
        *(settings.health_max_connections, settings.health_header_timeout),
        settings.health_header_bytes,
    )
    try:
        return HealthServer(settings.health_host, port, checks, metrics, warnings, limits)
    except OSError as error:
        msg = f"HEALTH_PORT: cannot listen on {port}: {error.strerror}"
        raise ConfigurationError(msg) from None


class HealthServer:
    """Answers `/live` with 200 while the process runs, `/ready` with 200 or 503 and the checks.

    `/metrics` is what the service counts.
    """

    def __init__(
        self,
        host: str,
        port: int,
        checks: Checks,
        metrics: Metrics,
        warnings: Warnings = tuple,
        limits: HealthLimits = LIMITS,
    ) -> None:
        """`checks` and `warnings` are called on its loop for every request; they must not block.

        `metrics` may: it is called in a thread of its own, one call after the other.

        Raises:
            OSError: when the port is taken.
        """
        self._checks = checks
        self._metrics = metrics
        self._warnings = warnings
        self._limits = limits
        self._listener = _listening(host, port)
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
        """How many are open."""
        return len(self._connections)

    def start(self) -> None:
        """Begin to answer."""
        self._loop = asyncio.SelectorEventLoop()
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            self._loop.close()
        self._listener.close()

    # In its thread

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
            task = asyncio.create_task(self._converse(connection))
            self._connections[task] = connection
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._connections.pop(task).close()

    async def _make_room(self) -> None:
        """Until one more connection may be kept."""
        while len(self._connections) >= self._limits.connections:
            oldest = next(iter(self._connections))
            oldest.cancel()
            await asyncio.wait([oldest])

    async def _converse(self, connection: socket.socket) -> None:
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
        """Read one request and write its answer; whether another may follow."""
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
        except Exception:  # a check or a metric raised: the next request may fare better
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
            told = {"warnings": warnings} if warnings else {}
            return _json(200 if all(checks.values()) else 503, checks | told)
        if path == "/metrics":
            return Answer(200, *await self._page(request.headers.get("accept", "")))
        return _refusal(404, "there are /live, /ready and /metrics")

    async def _page(self, accept: str) -> tuple[bytes, str]:
        """The lock is held until the thread has ended, even if its client has gone by then."""
        await self._rendering.acquire()
        page = asyncio.ensure_future(in_own_thread(self._metrics, accept))
        page.add_done_callback(lambda _: self._rendering.release())
        return await asyncio.shield(page)


def _listening(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


def _json(status: int, body: Mapping[str, Any]) -> Answer:
    return Answer(status, json.dumps(body).encode())


def _refusal(status: int, error: str) -> Answer:
    return _json(status, {"error": error})
