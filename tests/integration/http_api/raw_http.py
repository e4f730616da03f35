"""An API server for one application, and clients that send any bytes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from http_api.serving.connections import ServerLimits
from http_api.serving.server import ApiServer

PATIENCE = 60.0
HOST = b"Host: api\r\n"
CLOSE = b"Connection: close\r\n"

type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type App = Callable[
    [Message, Receive, Send],
    Awaitable[None],
]


async def body_of(receive: Receive) -> bytes | None:
    """The body; None if the client has gone."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        if not message["more_body"]:
            return body


async def give(send: Send, content: bytes, status: int = 200) -> None:
    """Answer with this content."""
    length = (b"content-length", b"%d" % len(content))
    await send({"type": "http.response.start", "status": status, "headers": [length]})
    await send({"type": "http.response.body", "body": content})


@asynccontextmanager
async def served(app: App, limits: ServerLimits | None = None) -> AsyncIterator[ApiServer]:
    """A server on a free port of this machine."""
    server = ApiServer(app, "127.0.0.1", 0, limits)
    running = asyncio.create_task(server.run())
    try:
        yield server
    finally:
        await server.stop(grace=0)
        await running


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, *parts: bytes) -> None:
        """Send, each part by itself; a server that has closed the connection is not an error."""
        try:
            for part in parts:
                self.writer.write(part)
                await self.writer.drain()
        except ConnectionError:
            pass

    async def answers(self) -> bytes:
        """All that is answered until the server closes; b"" too if it resets the connection."""
        found = b""
        try:
            async with asyncio.timeout(PATIENCE):
                while part := await self.reader.read(65_536):
                    found += part
        except ConnectionError:
            pass
        return found

    async def answer(self) -> tuple[int, bytes]:
        """The status and the content of the next answer, which has a Content-Length."""
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            return int(head[9:12]), await self.reader.readexactly(int(length or b"0"))


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    """A connection to the server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


async def exchanged(port: int, *parts: bytes) -> bytes:
    """All that is answered to these bytes, until the server closes the connection."""
    async with connected(port) as client:
        await client.send(*parts)
        return await client.answers()


def statuses(answers: bytes) -> list[int]:
    """The status of each answer."""
    return [int(each) for each in re.findall(rb"HTTP/1\.1 (\d{3}) [A-Z]", answers)]


def get(path: bytes = b"/", *headers: bytes) -> bytes:
    """A request without a body."""
    lines = b"".join(each + b"\r\n" for each in headers)
    return b"GET " + path + b" HTTP/1.1\r\n" + HOST + lines + b"\r\n"


def post(body: bytes, *headers: bytes, path: bytes = b"/", length: int | None = None) -> bytes:
    """A request with a body; `length`: what it says of its length."""
    lines = b"".join(each + b"\r\n" for each in headers)
    size = len(body) if length is None else length
    head = b"POST " + path + b" HTTP/1.1\r\n" + HOST + lines
    return head + b"Content-Length: %d\r\n\r\n" % size + body


def chunked(body: bytes, *headers: bytes, path: bytes = b"/") -> bytes:
    """A request whose body is sent in chunks, as they are given."""
    lines = b"".join(each + b"\r\n" for each in headers)
    head = b"POST " + path + b" HTTP/1.1\r\n" + HOST + lines
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + body
