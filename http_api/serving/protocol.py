"""HTTP/1.1 on one connection: uvicorn's protocol for httptools, with bounds.

uvicorn's class parses requests and runs the application; it bounds neither heads nor times.
"""

# Theory
# ------
# A connection is in one of these states, each with its own deadline:
#
#   idle     no byte of a request is there            API_KEEP_ALIVE_SECONDS, then closed
#   head     a part of a head is there                API_HEAD_SECONDS, then closed
#   body     the application reads the body           API_BODY_SECONDS, and API_HEAD_SECONDS for
#                                                     each piece, then 503
#   work     the body is there, the answer is not     none
#   ended    the last answer is written, no further   LINGER_SECONDS without a byte, more
#            request is read                          while it is unread; API_BODY_SECONDS
#
# A new connection has API_HEAD_SECONDS for its first head. In any state answers may be unread; then
# there are API_BODY_SECONDS to take a part of them (`write_deadline`).
#
# `ended` exists because closing a connection with unread bytes resets it, and the client would lose
# an answer such as 413 that it has not read yet. So our half is closed first, and what still comes
# in is dropped. This happens whenever the answer is complete before the request: no further request
# is read from that connection, so that a body is never taken for a request.
#
# llhttp, the parser in httptools, refuses what makes two servers disagree about where a request
# ends: both of Content-Length and Transfer-Encoding, repeated or malformed lengths, bare line
# feeds, folded headers, spaces before a colon. What it lets pass and we do not is in
# `http_api.serving.exchange.problem_of`.
#
# Reading stops while a request is in work and something of the next one is there: a connection
# holds one read of the socket and MOST_PIPELINED requests at most.

import asyncio
from math import inf
from typing import cast
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from http_api.serving.connections import Connections
from http_api.serving.exchange import (
    WITH_RULES,
    Exchange,
    Outgoing,
    RawHeaders,
    answer,
    problem_of,
    problem_with,
)

MOST_HEADERS = 100
MOST_PIPELINED = 16
"""Requests that wait on one connection for the answer to an earlier one."""
LINGER_SECONDS = 2.0
_UPGRADE_HEADERS = (b"upgrade", b"http2-settings")


class _RefusedError(Exception):
    """Stops the parser."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection of a client."""

    def __init__(self, config: Config, connections: Connections) -> None:
        super().__init__(config, connections, {}, asyncio.get_running_loop())
        self.deadline = self.write_deadline = inf
        self.idle_since = 0.0
        self._connections = connections
        self._limits = connections.limits
        self._most_head_bytes = self._limits.head_bytes
        self._new_parser()
        self._in_head = self._in_body = self._ended = self._is_upgrade = False
        self._problem: tuple[int, str] | None = None  # nothing is read any more
        self._open = 0  # requests that are not answered yet
        self._active: Exchange | None = None  # the one that runs; the others are in `pipeline`
        self._begun = 0  # heads begun in the current read of the socket
        self._head_size = 0  # parsed bytes of the head, or of the trailers
        self._ruled: RawHeaders = []  # the headers with rules
        self._head_fed = 0  # bytes given to the parser for a head that is not complete
        self._body_size = 0
        self._gap = 0  # bytes since the last piece of the body
        self._body_deadline = inf

    def _new_parser(self) -> None:
        self.parser = httptools.HttpRequestParser(self)

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection, or refuse it with 503."""
        super().connection_made(cast("asyncio.Transport", transport))  # uvloop's is no subclass
        self._outgoing = Outgoing(self.transport, self.end)
        if self._connections.add(self):
            self._limit(self._limits.head_seconds)
        else:
            self.transport.write(answer((503, "There are too many connections")))
            self.leave()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request in work, and forget the connection."""
        self._connections.remove(self)
        self._ended = True
        if self._active is not None and not self._active.response_complete:
            self._active.disconnect()
        self.pipeline.clear()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer the requests that are complete; True keeps our half of the connection open."""
        if self._ended or self._in_body or not self._open:
            return False
        self.cycle.keep_alive = False
        return True

    def pause_writing(self) -> None:
        """The client does not take an answer: its time and its size are bounded."""
        super().pause_writing()
        self.write_deadline = self._connections.after(self._limits.body_seconds)
        self._connections.unread(self)

    def resume_writing(self) -> None:
        """The client has taken enough of the answer."""
        super().resume_writing()
        self.write_deadline = inf
        self._connections.read(self)

    @property
    def unread_bytes(self) -> int:
        """Bytes of answers that the client has not taken."""
        return self.transport.get_write_buffer_size()

    @property
    def is_idle(self) -> bool:
        """Whether no byte of a request is there."""
        return not (self._open or self._in_head)

    def _limit(self, seconds: float, until: float = inf) -> None:
        self.deadline = min(self._connections.after(seconds), until)

    def pass_time(self, seconds: float) -> None:
        """Do not count time in which the application does not read the body."""
        if self._in_body and self.flow.read_paused and not self._ended:
            self.deadline += seconds
            self._body_deadline += seconds

    def expire(self) -> None:
        """End what takes too long."""
        if self._ended:
            self._expire_ended()
        elif not self._open:
            self.leave()
        else:
            self._refuse(503, "The body took too long")

    def _expire_ended(self) -> None:
        if self.unread_bytes and self._connections.clock < self._body_deadline:
            self._limit(LINGER_SECONDS, self._body_deadline)  # the client is still reading
        else:
            self.cut()

    def cut(self) -> None:
        """Close the connection now."""
        self._ended = True
        self.transport.abort()

    def leave(self) -> None:
        """Close the connection when all is sent that was written."""
        self._ended = True
        self._limit(self._limits.body_seconds)
        self._body_deadline = self.deadline
        self.transport.close()

    def end(self) -> None:
        """The last answer is written: close our half, and drop what the client still sends."""
        if self._ended or self.transport.is_closing():
            return
        if not (self._in_body or self._in_head or self._problem or self.flow.read_paused):
            self.leave()
            return
        self._ended = True
        self._connections.without_work(self)
        self._body_deadline = self._connections.after(self._limits.body_seconds)
        self._limit(LINGER_SECONDS)
        self.flow.resume_reading()
        try:
            self.transport.write_eof()
        except OSError:  # the client has reset the connection
            self.cut()

    # Bytes of the client

    def data_received(self, data: bytes) -> None:
        """Parse the bytes, within the limits."""
        if self._ended:
            self._limit(LINGER_SECONDS, self._body_deadline)
            return
        if self._problem is not None:
            return
        was_in_head, was_in_body, size = self._in_head, self._in_body, self._body_size
        self._begun = 0
        if not self._feed(data):
            return
        if self._in_head:
            if self._begun == 0 or (self._begun == 1 and not (was_in_head or was_in_body)):
                self._count_head(len(data))
        elif was_in_body and self._in_body and self._begun == 0:
            self._count_gap(0 if self._body_size > size else len(data))
        self._set_deadline(piece=self._body_size > size)

    def _feed(self, data: bytes) -> bool:
        """Give the parser the bytes; False if it refuses them."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._refuse(*(self._problem or problem_with(error, data)))
            return False
        return True

    def _ignore_upgrade(self, rest: bytes) -> bool:
        """Parse the request again without its upgrade, with which llhttp leaves out the body."""
        self._is_upgrade = False
        parts = [self.parser.get_method(), b" ", self.url, b" HTTP/1.1\r\n"]
        for name, value in self.headers:
            if name not in _UPGRADE_HEADERS:
                parts += [name, b": ", value, b"\r\n"]
        self._new_parser()
        return self._feed(b"".join([*parts, b"\r\n", rest]))

    def _count_head(self, size: int) -> None:
        self._head_fed += size
        if self._head_fed > self._limits.head_bytes:
            self._refuse(431, self._long_head)

    def _count_gap(self, size: int) -> None:
        """Count bytes of a body without content: lines of chunks, or trailers."""
        self._gap = self._gap + size if size else 0
        if self._gap > self._limits.head_bytes:
            self._refuse(400, "The body has too many bytes between its chunks")

    @property
    def _long_head(self) -> str:
        return f"The head has more than {self._limits.head_bytes} bytes"

    def _set_deadline(self, *, piece: bool) -> None:
        """Set the deadline of the state after a read; `piece`: some of it was of a body."""
        if self._ended:
            return
        if self._open == 0:
            if self._begun:
                self._limit(self._limits.head_seconds)
        elif self._open == 1 and self._in_body:
            if self._begun:
                self._begin_body()
            elif piece:
                self._limit(self._limits.head_seconds, self._body_deadline)
        else:
            self.deadline = inf
            if self._open > 1 or self._in_head:
                self.flow.pause_reading()

    def _begin_body(self) -> None:
        self._body_deadline = self._connections.after(self._limits.body_seconds)
        self._limit(self._limits.head_seconds, self._body_deadline)

    def _refuse(self, status: int, detail: str) -> None:
        """Read no further; answer what is complete, else with this problem, and end."""
        self._problem = status, detail
        broken = self.cycle if self._in_body else None
        if self._open > (broken is not None):
            self.flow.pause_reading()
            if broken is not None:
                self.pipeline.popleft()
                self._open -= 1
            last = self.pipeline[0][0] if self.pipeline else self._active
            assert last is not None
            last.keep_alive = False
            return
        if broken is None or not broken.response_started:
            self.transport.write(answer((status, detail)))
        if isinstance(broken, Exchange):
            broken.disconnect()
        self.end()

    # The parser's callbacks

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head = True
        self._begun += 1
        self._head_size = self._head_fed = 0
        self._ruled = []

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self._count_parsed(len(url))
        self.url = self.url + url if self.url else url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; or a trailer, which is dropped, since the head has been acted on."""
        self._count_parsed(len(name) + len(value) + 4)
        if self._in_head:
            header = name.lower(), value
            self.headers.append(header)
            if header[0] in WITH_RULES:
                self._ruled.append(header)

    def _count_parsed(self, size: int) -> None:
        self._head_size += size
        if self._head_size > self._most_head_bytes:
            self._stop_parser(431, self._long_head)

    def _stop_parser(self, status: int, detail: str) -> None:
        self._problem = status, detail
        raise _RefusedError

    def on_headers_complete(self) -> None:
        """Check the head, and run the application or queue the request."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if problem := problem_of(method, version, self._ruled):
            self._stop_parser(*problem)
        if len(self.headers) > MOST_HEADERS:
            self._stop_parser(431, f"There are more than {MOST_HEADERS} headers")
        if self.parser.should_upgrade():
            self._is_upgrade = True
            return
        if len(self.pipeline) >= MOST_PIPELINED:
            self._stop_parser(503, "Too many requests wait on this connection")
        self._set_target(method, version)
        self._in_head, self._in_body = False, True
        self._head_size = self._gap = self._body_size = 0
        self._accept(is_1_1=version == "1.1")

    def _set_target(self, method: bytes, version: str) -> None:
        target = httptools.parse_url(self.url)
        path: bytes = target.path or b"/"
        text = path.decode("ascii")
        self.scope["method"] = method.decode("ascii")
        self.scope["http_version"] = version
        self.scope["path"] = unquote(text) if "%" in text else text
        self.scope["raw_path"] = path
        self.scope["query_string"] = target.query or b""

    def _accept(self, *, is_1_1: bool) -> None:
        self.cycle = exchange = Exchange(
            self.scope,
            self._outgoing,
            self.flow,
            self._connections,
            self.on_response_complete,
            expects=is_1_1 and any(name == b"expect" for name, _ in self._ruled),
            keep_alive=is_1_1 and self.parser.should_keep_alive(),
        )
        self._open += 1
        if self._open == 1:
            self._connections.with_work(self)
            self._start(exchange)
        else:
            self.pipeline.appendleft((exchange, self.app))

    def _start(self, exchange: Exchange) -> None:
        self._active = exchange
        self._start_asgi_task(exchange, self.app)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body_size += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        if not self._is_upgrade:
            self._in_body = False
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request."""
        self._outgoing.flush()  # an answer without a body
        self._open -= 1
        self._active = None
        if self._ended or self.transport.is_closing():
            return
        if self.pipeline:
            exchange, _ = self.pipeline.pop()
            assert isinstance(exchange, Exchange)
            self._start(exchange)
            if self._in_body and not self.pipeline:
                self._begin_body()
            return
        limits = self._limits
        self._connections.without_work(self)
        self._limit(limits.head_seconds if self._in_head else limits.keep_alive_seconds)
        self.flow.resume_reading()
