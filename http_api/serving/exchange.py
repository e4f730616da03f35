"""One request and its answer on a connection; and what heads of requests must not have."""

import asyncio
import logging
import re
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

import httptools
import orjson
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from http_api.serving.connections import Connections

log = logging.getLogger(__name__)

LARGE_PART = 65_536
"""Bytes; a copy of them costs as much as a system call."""

type Problem = tuple[int, str]
"""A status and its `detail`."""
type RawHeaders = list[tuple[bytes, bytes]]

_REQUEST_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32} [^ \r\n]+ HTTP/1\.[01]\r\n")
WITH_RULES = frozenset((b"host", b"transfer-encoding", b"expect", b"upgrade"))
"""Headers that `problem_of` looks at."""


class Outgoing:
    """The transport as an exchange uses it: head and body of an answer go out in one write."""

    __slots__ = ("_end", "_head", "_is_head", "_write", "is_closing")

    def __init__(self, transport: asyncio.Transport, end: Callable[[], None]) -> None:
        """`end` is called after the last answer."""
        self.is_closing = transport.is_closing
        self._write = transport.write
        self._end = end
        self._head = b""
        self._is_head = False

    def hold(self) -> None:
        """What is written next is a head; it waits for the first part of its body."""
        self._is_head = True

    def write(self, data: bytes) -> None:
        """Send the data, or keep it if it is a head."""
        if self._is_head:
            self._is_head = False
            self._head = data
            return
        if head := self._head:
            self._head = b""
            if len(data) > LARGE_PART:
                self._write(head)
            else:
                data = head + data
        self._write(data)

    def flush(self) -> None:
        """Send what was kept."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        """Send what was kept, and end the connection."""
        self.flush()
        self._end()


class Exchange(RequestResponseCycle):
    """uvicorn's cycle of a request, which ends its connection where that is safer."""

    def __init__(
        self,
        scope: Any,
        outgoing: Outgoing,
        flow: FlowControl,
        connections: Connections,
        on_response: Any,
        *,
        expects: bool,
        keep_alive: bool,
    ) -> None:
        super().__init__(
            scope=scope,
            transport=outgoing,  # type: ignore[arg-type]
            flow=flow,
            logger=log,
            access_logger=log,
            access_log=False,
            default_headers=connections.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=expects,
            keep_alive=keep_alive,
            on_response=on_response,
        )
        self._connections = connections
        self._outgoing = outgoing

    async def run_asgi(self, app: Any) -> None:
        """Run the application; 500 if it raises or does not answer."""
        try:
            await app(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            self.transport.close()
            raise
        except Exception:
            log.exception("HTTP application failed")
            await self._fail()
        else:
            if not self.response_complete and not self.disconnected:
                log.error("HTTP application gave no answer")
                await self._fail()
        finally:
            self.on_response = _nothing  # no cycle of references outlives the request

    async def _fail(self) -> None:
        if self.response_started:
            self.transport.close()
        else:
            await self.send_500_response()

    def send(self, message: Any) -> Coroutine[Any, Any, None]:
        """Send a part of the answer, the last of its connection if the body was not read."""
        if not self.response_started:
            self._outgoing.hold()
            if self.more_body or self._connections.stopping:
                self.keep_alive = False
        return super().send(message)

    def disconnect(self) -> None:
        """Tell the application that no more of the request comes, and drop its answer."""
        self.disconnected = True
        self.waiting_for_100_continue = False
        self.message_event.set()


def _nothing() -> None:
    pass


def answer(problem: Problem) -> bytes:
    """An answer of the server itself, the last one of its connection."""
    status, detail = problem
    content = orjson.dumps({"detail": detail})
    later = "retry-after: 1\r\n" if status == 503 else ""
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(content)}\r\n{later}connection: close\r\n\r\n"
    )
    return head.encode("ascii") + content


def problem_of(method: bytes, version: str, headers: RawHeaders) -> Problem | None:
    """What forbids a head that the parser accepts; `headers` are those of `WITH_RULES`."""
    if version not in ("1.0", "1.1"):
        return 505, f"HTTP/{version} is not supported"
    if method == b"CONNECT":
        return 405, "Method Not Allowed"
    values: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in values:
            return 400, f"There are two {name.decode()} headers"
        values[name] = value.strip().lower()
    return _problem_with_values(values, version)


def _problem_with_values(values: dict[bytes, bytes], version: str) -> Problem | None:
    if version == "1.1" and b"host" not in values:
        return 400, "The host header is missing"
    if b"transfer-encoding" in values and version == "1.0":
        return 400, "HTTP/1.0 has no transfer-encoding"
    if values.get(b"transfer-encoding", b"chunked") != b"chunked":
        return 501, "Transfer-encoding must be chunked"
    if values.get(b"expect", b"100-continue") != b"100-continue":
        return 417, "Expect must be 100-continue"
    if values.get(b"upgrade") == b"websocket":
        return 400, "There are no WebSockets"
    return None


def problem_with(error: httptools.HttpParserError, data: bytes) -> Problem:
    """Why the parser refuses bytes that begin with `data`."""
    is_other_method = isinstance(error, httptools.HttpParserInvalidMethodError)
    if is_other_method and _REQUEST_LINE.match(data):
        return 405, "Method Not Allowed"
    return 400, f"The request is not valid HTTP: {error}"
