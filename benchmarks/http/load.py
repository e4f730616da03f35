"""A closed loop of HTTP requests over keep-alive connections, cheap enough to share a core.

Each connection sends its next request when the answer to the last one is complete. Requests are
byte templates: only the end of the uuid differs.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import cast, override

import httptools

HOST = "127.0.0.1"
MOST_SECONDS = 120.0
"""Time limit of one round."""
TAIL = 12
"""Hexadecimal digits at the end of a uuid, which number the requests."""


@dataclass(frozen=True, slots=True)
class Template:
    """A request but for the end of the uuid in its body."""

    before: bytes
    after: bytes

    @classmethod
    def of(cls, target: str, headers: dict[str, str], body: bytes, vcon_uuid: str) -> "Template":
        """A POST of this body."""
        lines = [f"POST {target} HTTP/1.1", f"host: {HOST}", "content-type: application/json"]
        lines += [f"content-length: {len(body)}", *(f"{k}: {v}" for k, v in headers.items())]
        before, after = body.split(vcon_uuid.encode(), 1)
        head = "\r\n".join([*lines, "", ""]).encode()
        return cls(head + before + vcon_uuid[:-TAIL].encode(), after)


@dataclass(slots=True)
class Load:
    """The answers of one round."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    accepted: list[int] = field(default_factory=list)
    """The numbers of the requests with an answer of 2xx."""


class Connection(asyncio.Protocol):
    """One keep-alive connection; `done` ends when there are no more numbers."""

    def __init__(self, template: Template, numbers: Iterator[int], load: Load) -> None:
        """`numbers` is shared by the connections."""
        self._template, self._numbers, self._load = template, numbers, load
        self._parser = httptools.HttpResponseParser(self)
        self._number, self._began = 0, 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._send()

    def _send(self) -> None:
        number = next(self._numbers, None)
        if number is None:
            self.done.set_result(None)
            self._transport.close()
            return
        self._number, self._began = number, time.perf_counter()
        tail = b"%012x" % number
        self._transport.writelines([self._template.before, tail, self._template.after])

    @override
    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self._load.latencies.append(time.perf_counter() - self._began)
        status = self._parser.get_status_code()
        self._load.statuses[status] += 1
        if 200 <= status < 300:
            self._load.accepted.append(self._number)
        if not self._parser.should_keep_alive():
            self.done.set_exception(ConnectionError(f"closed after an answer of {status}"))
            return
        # a new parser: one that has read a whole answer keeps what belongs to it
        self._parser = httptools.HttpResponseParser(self)
        asyncio.get_running_loop().call_soon(self._send)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed a connection"))


async def drive(port: int, templates: Sequence[Template], numbers: range) -> Load:
    """Send one request for each number over as many connections as there are templates."""
    load, shared = Load(), iter(numbers)
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    async with asyncio.timeout(MOST_SECONDS):
        made = [
            await loop.create_connection(partial(Connection, one, shared, load), HOST, port)
            for one in templates
        ]
        await asyncio.gather(*(protocol.done for _, protocol in made))
    load.seconds = time.perf_counter() - began
    return load
