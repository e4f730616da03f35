"""A local HTTP server in the place of receivers and vendors: it keeps what it is sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

MORE_THAN_SENT = 1000


class Refused(Exception):  # noqa: N818 - an answer, not an error of the test
    """Raised by `reply` or a check: the answer has this status, JSON body and headers."""

    def __init__(self, status: int, body: Any = None, **headers: str) -> None:
        super().__init__(status)
        self.status = status
        self.body = b"" if body is None else json.dumps(body).encode()
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass(frozen=True)
class Request:
    """A request as it came; the names of headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class StandIn:
    """Answers first what `answers` says, in turn, then what `replies` has for the path.

    An answer is a status with headers (`503 Retry-After: 0`), `drop` to break the connection off,
    `hang` to keep silent until the test is over, `cut` to break off in the middle of the reply,
    `half` for a reply of which only the half was written, or `ok`. A reply is a value to send as
    JSON, or a function that makes it from the body; a path without one gets an empty 200.
    `checks` has the rules of a vendor by path: each may raise `Refused` before the reply.
    """

    answers: list[str] = field(default_factory=list)
    replies: dict[str, Any] = field(default_factory=dict)
    checks: dict[str, Callable[[Request], None]] = field(default_factory=dict)
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    connections: int = 0
    over: Event = field(default_factory=Event)
    port: int = 0

    @property
    def base(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Its address."""
        return self.base

    def asked(self, path: str) -> list[Any]:
        """The JSON of each request to a path."""
        return [json.loads(body) for each, _, body in self.got if urlsplit(each).path == path]

    def reset(self) -> None:
        """As new, but on the same port."""
        self.answers.clear()
        self.replies.clear()
        self.checks.clear()
        self.got.clear()
        self.methods.clear()
        self.headers.clear()
        self.connections = 0

    def reply_to(self, request: Request) -> bytes:
        """What a request is answered with, if the vendor's rules allow it."""
        if check := self.checks.get(urlsplit(request.path).path):
            check(request)
        return self.reply(request.path, request.body)

    def altered(self, reply: bytes) -> bytes:
        """A reply of 2xx as it is sent; tests replace this."""
        return reply

    def reply(self, path: str, body: bytes) -> bytes:
        """What a path is answered with."""
        found = self.replies.get(urlsplit(path).path, b"")
        found = found(body) if callable(found) else found
        return found if isinstance(found, bytes) else json.dumps(found).encode()


class _Handler(BaseHTTPRequestHandler):
    """What the server does with a connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # an answer in pieces is waited for, 40 ms each
    disable_nagle_algorithm = True
    stand_in: StandIn

    def setup(self) -> None:
        self.stand_in.connections += 1
        super().setup()

    def handle_request(self) -> None:
        body = self._body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.stand_in.methods.append(self.command)
        self.stand_in.got.append((self.path, headers, body))
        answer = self.stand_in.answers.pop(0) if self.stand_in.answers else "ok"
        if answer == "hang":
            self.stand_in.over.wait(60)
        if answer in ("hang", "drop"):
            self.close_connection = True
            return
        if answer.startswith(("ok", "cut", "half")):
            self._reply(answer, Request(self.command, self.path, headers, body))
        else:
            self._answer(answer, b"", {})

    def _reply(self, answer: str, request: Request) -> None:
        try:
            reply = self.stand_in.reply_to(request)
        except Refused as refused:
            self._answer(str(refused.status), refused.body, refused.headers)
        else:
            self._answer(answer, reply, {})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self.handle_request
        raise AttributeError(name)

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, answer: str, content: bytes, more: dict[str, str]) -> None:
        status, _, header = answer.partition(" ")
        known = status in ("ok", "cut", "half")
        if content and (known or status.startswith("2")):
            content = self.stand_in.altered(content)
        self.send_response(200 if known else int(status))
        if header:
            self.send_header(*header.split(": "))
        if answer == "half":
            content = content[: len(content) // 2]
        kind = {"content-type": "application/json"}
        for name, value in {**kind, **self.stand_in.headers, **more}.items():
            self.send_header(name, value)
        extra = MORE_THAN_SENT if answer == "cut" else 0
        self.send_header("content-length", str(len(content) + extra))
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = self.close_connection or answer == "cut"

    def log_message(self, *arguments: Any) -> None:
        """Nothing on the terminal."""


@contextmanager
def stand_in[T: StandIn](found: T) -> Iterator[T]:
    """A server on a free port, for tests that need a stand-in of this kind."""
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), type("Handler", (_Handler,), {"stand_in": found})
    )
    found.port = server.server_port
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield found
    finally:
        found.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
