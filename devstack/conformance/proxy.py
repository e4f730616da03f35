"""A TCP proxy between a plugin and its peers, which fails on demand and records what passes.

It runs on an event loop in a thread of its own. `mode` says what it does with every connection from
then on:

- `pass`: passes everything on;
- `slow`: the same, but of each reply first a few bytes, and the rest `LATENCY` seconds later;
- `reset`: ends each connection with a reset once the plugin has sent something;
- `errors`: answers each request over HTTP with 500; other protocols are reset;
- `half`: passes on the first half of the first reply, then closes;
- `silent`: takes what the plugin sends, and never answers;
- `held`: passes on what the plugin sends, and withholds the replies;
- `counted`: passes on `allowed` more pieces, then holds what follows.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Coroutine
from threading import Event, Thread
from types import TracebackType
from typing import Any, Literal, Self

from devstack.conformance.redirect import Upstream

type Mode = Literal["pass", "slow", "reset", "errors", "half", "silent", "held", "counted"]

type Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

HOST = "127.0.0.1"
LATENCY = 0.05
FIRST_PIECE = 7
CHUNK = 65536
METHODS = (b"GET ", b"POST ", b"PUT ", b"PATCH ", b"DELETE ", b"HEAD ", b"OPTIONS ")
REFUSAL = (
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 6\r\nConnection: close\r\n\r\nfailed"
)
MOST_RECORDED = 32 * 1024 * 1024
"""Bytes that are recorded of all connections; what comes after them is passed on unrecorded."""


class ToxicProxy:
    """A context manager; one listener for each upstream."""

    def __init__(self) -> None:
        self.mode: Mode = "pass"
        self.allowed = 0
        self.touched = Event()
        """Set when a plugin has sent something, in `counted` only when that is held."""
        self._recorded: list[bytearray] = []
        self._size = 0
        self._listening: dict[Upstream, tuple[str, int]] = {}
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="toxic proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def listen(self, upstream: Upstream) -> tuple[str, int]:
        """The address of the listener before an upstream."""
        if upstream not in self._listening:
            self._listening[upstream] = self._do(self._start(upstream))
        return self._listening[upstream]

    def took(self) -> list[bytes]:
        """What the plugin has sent since the last call, one item for each connection."""
        taken, self._recorded, self._size = self._recorded, [], 0
        return [bytes(each) for each in taken if each]

    def drop(self) -> None:
        """End the connections that are open."""
        self._do(self._drop())

    def _do[T](self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _start(self, upstream: Upstream) -> tuple[str, int]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(upstream, reader, writer)

        server = await asyncio.start_server(serve, HOST, 0)
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return HOST, port

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        await asyncio.sleep(0)  # connections that were just accepted begin
        await self._drop()
        await asyncio.sleep(0)

    async def _drop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(
        self, upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._connection(upstream, reader, writer)
        except (OSError, asyncio.CancelledError, asyncio.IncompleteReadError):
            pass
        finally:
            self._tasks.discard(task)
            await _closed(writer)

    async def _connection(
        self, upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        record = bytearray()
        self._recorded.append(record)
        if self.mode in ("reset", "errors", "silent"):
            await self._fail(record, reader, writer)
            return
        context = ssl.create_default_context() if upstream.tls else None
        there = await _opened(asyncio.open_connection(upstream.host, upstream.port, ssl=context))
        try:
            ways = (self._out(record, reader, there[1]), self._back(there[0], writer))
            tasks = [asyncio.ensure_future(way) for way in ways]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            there[1].close()  # first: `drop` may end the wait for the tasks
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await _closed(there[1])

    async def _out(
        self, record: bytearray, reader: asyncio.StreamReader, there: asyncio.StreamWriter
    ) -> None:
        while chunk := await reader.read(CHUNK):
            if self.mode in ("reset", "errors", "silent"):  # a kept connection, from before
                return
            if self.mode == "counted":
                await self._count()
            self._note(record, chunk)
            there.write(chunk)
            await there.drain()

    async def _count(self) -> None:
        self.allowed -= 1
        if self.allowed < 0:
            self.touched.set()
            await asyncio.Event().wait()

    async def _back(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await there.read(CHUNK):
            if self.mode == "slow":
                writer.write(chunk[:FIRST_PIECE])
                await writer.drain()
                await asyncio.sleep(LATENCY)
                chunk = chunk[FIRST_PIECE:]
            if self.mode == "held":
                await asyncio.Event().wait()
            if self.mode == "half":
                writer.write(chunk[: len(chunk) // 2])
                await writer.drain()
                return
            writer.write(chunk)
            await writer.drain()

    async def _fail(
        self, record: bytearray, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        first = await reader.read(CHUNK)
        self._note(record, first)
        if self.mode == "silent":
            while await reader.read(CHUNK):
                pass
        elif self.mode == "errors" and first.startswith(METHODS):
            writer.write(REFUSAL)
            await writer.drain()
            writer.write_eof()
            with contextlib.suppress(TimeoutError):  # else a reset could overtake the answer
                async with asyncio.timeout(1):
                    while await reader.read(CHUNK):
                        pass
        else:
            _reset(writer)

    def _note(self, record: bytearray, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size <= MOST_RECORDED:
            record += chunk
        if self.mode != "counted":
            self.touched.set()


async def _opened(opening: Coroutine[Any, Any, Streams]) -> Streams:
    """A connection; one that is made while this task is cancelled is closed again."""
    task = asyncio.ensure_future(opening)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with contextlib.suppress(OSError):
            await _closed((await task)[1])
        raise


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a reset instead of an orderly end."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError, asyncio.CancelledError):
        await writer.wait_closed()
