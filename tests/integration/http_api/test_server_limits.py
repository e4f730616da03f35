"""What clients of the HTTP API can use of the server: connections, heads, times, unread answers."""

from __future__ import annotations

import asyncio
import socket
import time
import tracemalloc
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from http_api.serving import protocol
from http_api.serving.connections import ServerLimits
from http_api.serving.protocol import MOST_HEADERS
from http_api.serving.server import ApiServer
from tests.integration.http_api.raw_http import (
    CLOSE,
    HOST,
    PATIENCE,
    Client,
    Message,
    Receive,
    Send,
    body_of,
    chunked,
    connected,
    exchanged,
    get,
    give,
    post,
    served,
    statuses,
)

GENEROUS = ServerLimits(1000, 65_536, PATIENCE, PATIENCE, PATIENCE)
SHORT = 0.05
LARGE = 10_000_000
"""Bytes; more than the kernel holds for a connection."""


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Answer with the size of the body, or with what the path says."""
    body = await body_of(receive)
    if body is not None:
        await give(send, bytes(LARGE) if scope["path"] == "/large" else b"%d" % len(body))


async def until(condition: Callable[[], bool]) -> None:
    """Until something holds that has no event."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


@pytest.mark.parametrize("sent", [b"", b"GE", b"GET / HTTP/1.1\r\nHost: api\r\nX"])
async def test_a_head_has_its_time(sent: bytes) -> None:
    """A connection whose head does not come is closed, also the second head of a connection."""
    async with served(app, GENEROUS._replace(head_seconds=SHORT)) as server:
        assert await exchanged(server.port, sent) == b""
        if sent:
            assert statuses(await exchanged(server.port, get() + sent)) == [200]


async def test_a_head_that_comes_byte_by_byte_is_cut() -> None:
    """Each byte is no reason to wait longer."""
    async with (
        served(app, GENEROUS._replace(head_seconds=SHORT)) as server,
        connected(server.port) as client,
    ):
        await client.send(b"GET / HTTP/1.1\r\nX: ")
        while server.connections:
            await client.send(b"x")
            await asyncio.sleep(0.002)
        assert await client.answers() == b""


async def test_an_idle_connection_is_closed() -> None:
    """After the seconds of keep-alive."""
    async with served(app, GENEROUS._replace(keep_alive_seconds=SHORT)) as server:
        assert statuses(await exchanged(server.port, get())) == [200]


async def test_a_body_that_stands_still_is_503() -> None:
    """Between two pieces there is the time of a head; the application hears of it."""
    async with served(app, GENEROUS._replace(head_seconds=SHORT)) as server:
        assert statuses(await exchanged(server.port, post(b"abc", length=10))) == [503]
        assert statuses(await exchanged(server.port, post(b"abc", CLOSE.strip()))) == [200]


@pytest.mark.parametrize("piece", [b"x", b"1;x=y\r\na\r\n"])
async def test_a_body_that_comes_byte_by_byte_is_503(piece: bytes) -> None:
    """The whole body has its time, in chunks as well."""
    limits = GENEROUS._replace(body_seconds=2 * SHORT)
    start = post(b"", length=1_000_000) if piece == b"x" else chunked(b"")
    async with served(app, limits) as server, connected(server.port) as client:
        await client.send(start)
        reading = asyncio.create_task(client.answers())
        while not reading.done():
            await client.send(piece)
            await asyncio.sleep(0.002)
        assert statuses(await reading) == [503]


async def test_lines_of_chunks_are_no_progress() -> None:
    """An extension that does not end is cut like a body that stands still."""
    async with (
        served(app, GENEROUS._replace(head_seconds=SHORT)) as server,
        connected(server.port) as client,
    ):
        await client.send(chunked(b"1;x="))
        reading = asyncio.create_task(client.answers())
        while not reading.done():
            await client.send(b"y")
            await asyncio.sleep(0.002)
        assert statuses(await reading) == [503]


async def test_time_in_which_the_application_does_not_read_is_not_the_clients() -> None:
    """A body that waits for the application is not 503."""
    go_on = asyncio.Event()

    async def slow(scope: Message, receive: Receive, send: Send) -> None:
        await go_on.wait()
        await app(scope, receive, send)

    limits = GENEROUS._replace(head_seconds=4 * SHORT, body_seconds=4 * SHORT)
    body = bytes(1_000_000)
    async with served(slow, limits) as server, connected(server.port) as client:
        sending = asyncio.create_task(client.send(post(body, CLOSE.strip())))
        await until(lambda: server._connections.clock > 12 * SHORT)
        go_on.set()
        assert (await client.answers()).endswith(b"\r\n\r\n%d" % len(body))
        await sending


async def test_time_in_which_the_loop_is_blocked_is_not_the_clients() -> None:
    """The bytes that came in the meantime are read first."""
    async with served(app, GENEROUS._replace(head_seconds=SHORT)) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\n")
            await until(lambda: server.connections == 1)
            client.sendall(HOST + CLOSE + b"\r\n")
            time.sleep(6 * SHORT)  # noqa: ASYNC251 -- it blocks the loop
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(PATIENCE):
                assert statuses(await loop.sock_recv(client, 1000)) == [200]


async def test_a_client_that_does_not_take_its_answer_is_cut() -> None:
    """After the seconds of a body; large answers and many small ones."""
    async with served(app, GENEROUS._replace(body_seconds=SHORT)) as server:
        for sent in (get(b"/large"), get(b"/large") * 10):
            async with connected(server.port) as client:
                client.writer.transport.pause_reading()  # type: ignore[attr-defined]
                await client.send(sent)
                await until(lambda: server.connections == 1)
                await until(lambda: server.connections == 0)


async def test_an_answer_before_the_body_may_be_taken_slowly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The time for what the client still sends is not the time for reading the answer."""

    async def early(scope: Message, receive: Receive, send: Send) -> None:
        await give(send, bytes(LARGE), 413)

    monkeypatch.setattr(protocol, "LINGER_SECONDS", SHORT)
    limits = GENEROUS._replace(head_seconds=SHORT)  # for frequent sweeps
    async with served(early, limits) as server, connected(server.port) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(post(b"{", length=100))
        await until(lambda: server._connections.clock > 10 * SHORT)
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert len(await client.answers()) > LARGE


async def test_answers_that_are_not_taken_are_bounded() -> None:
    """Those who have not read for longest are cut; others are answered."""
    limits = GENEROUS._replace(unread_bytes=LARGE)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(served(app, limits))
        for _ in range(8):
            client = await stack.enter_async_context(connected(server.port))
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await client.send(get(b"/large"))
        await until(lambda: server.connections < 8)
        unread = [each.unread_bytes for each in server._connections._open]
        assert sum(unread) <= LARGE
        assert statuses(await exchanged(server.port, get(b"/", CLOSE.strip()))) == [200]


async def idle_clients(stack: AsyncExitStack, server: ApiServer, number: int) -> list[Client]:
    """Clients that have been answered."""
    clients = []
    for _ in range(number):
        clients.append(client := await stack.enter_async_context(connected(server.port)))
        await client.send(get())
        await client.answer()
    return clients


async def test_one_more_connection_takes_the_place_of_the_longest_idle_one() -> None:
    """Idle since the last answer, not since the first."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(served(app, GENEROUS._replace(connections=3)))
        first, second, third = await idle_clients(stack, server, 3)
        await first.send(get())
        await first.answer()
        await idle_clients(stack, server, 1)
        assert server.connections == 3
        assert await second.answers() == b""
        for client in (first, third):
            await client.send(get())
            assert (await client.answer())[0] == 200


async def test_a_head_that_is_not_complete_holds_no_connection() -> None:
    """Many clients that begin requests keep no other one from being answered."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(served(app, GENEROUS._replace(connections=3)))
        for _ in range(10):
            client = await stack.enter_async_context(connected(server.port))
            await client.send(b"GET / HTTP/1.1\r\nX: y")
        assert statuses(await exchanged(server.port, get(b"/", CLOSE.strip()))) == [200]
        assert server.connections <= 3


async def test_requests_in_work_are_not_cut_for_new_connections() -> None:
    """The new one is 503 when all others have requests in work."""
    go_on = asyncio.Event()

    async def slow(scope: Message, receive: Receive, send: Send) -> None:
        await go_on.wait()
        await app(scope, receive, send)

    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(served(slow, GENEROUS._replace(connections=2)))
        busy = [await stack.enter_async_context(connected(server.port)) for _ in range(2)]
        for client in busy:
            await client.send(get(b"/", CLOSE.strip()))
        await until(lambda: not server._connections._without_work)
        refused = await exchanged(server.port)
        assert statuses(refused) == [503]
        assert b"retry-after: 1\r\n" in refused
        go_on.set()
        assert [statuses(await client.answers()) for client in busy] == [[200], [200]]


async def test_a_head_has_its_size() -> None:
    """431 for the target and for headers, in one piece or many; a head of the size is accepted."""
    async with served(app, GENEROUS._replace(head_bytes=2000)) as server:
        for head in (
            get(b"/" + b"x" * 2000),
            get(b"/", b"X: " + b"y" * 2000),
            get(b"/", *[b"X: y"] * 400),
        ):
            for parts in ([head], [head[at : at + 90] for at in range(0, len(head), 90)]):
                assert statuses(await exchanged(server.port, *parts)) == [431]
        fits = get(b"/", CLOSE.strip(), b"X: " + b"y" * 1900)
        assert statuses(await exchanged(server.port, fits)) == [200]
        assert statuses(await exchanged(server.port, get() * 12 + fits)) == [200] * 13


async def test_headers_are_counted() -> None:
    """Host is one of them."""
    async with served(app) as server:
        most = [b"X: y"] * (MOST_HEADERS - 2)
        assert statuses(await exchanged(server.port, get(b"/", CLOSE.strip(), *most))) == [200]
        assert statuses(await exchanged(server.port, get(b"/", *most, b"X: y", b"X: z"))) == [431]


ENDLESS = {
    "target": (b"GET /", 431),
    "name": (b"GET / HTTP/1.1\r\n", 431),
    "value": (b"GET / HTTP/1.1\r\nX: ", 431),
    "extension": (chunked(b"1;x="), 400),
    "trailer": (chunked(b"1\r\na\r\n0\r\nX: "), 400),
    "trailer's name": (chunked(b"1\r\na\r\n0\r\n"), 400),
}


@pytest.mark.parametrize("start", ENDLESS.values(), ids=ENDLESS)
async def test_what_does_not_end_is_not_kept(start: tuple[bytes, int]) -> None:
    """Five megabytes of one token: refused at the limit, and dropped from there."""
    begin, status = start
    piece = b"x" * 50_000
    async with served(app) as server, connected(server.port) as client:
        tracemalloc.start()
        try:
            await client.send(begin, *[piece] * 100)
            assert statuses(await client.answers()) == [status]
            assert tracemalloc.get_traced_memory()[1] < 2_000_000
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("unit", [b"X: y\r\n", b"1;x=y\r\na\r\n"])
async def test_many_trailers_and_chunks(unit: bytes) -> None:
    """Trailers have the size of a head, and do not become headers; chunks may be many."""
    is_chunk = unit.startswith(b"1")
    seen: list[bytes] = []

    async def watched(scope: Message, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)
        seen.extend(name for name, _ in scope["headers"])

    body = (
        unit * 20_000 + b"0\r\n\r\n" if is_chunk else b"1\r\na\r\n0\r\n" + unit * 20_000 + b"\r\n"
    )
    async with served(watched) as server:
        answered = await exchanged(server.port, chunked(body, CLOSE.strip()))
        assert statuses(answered) == [200 if is_chunk else 431]
        few = chunked(b"1\r\na\r\n0\r\nX-Token: y\r\n\r\n", CLOSE.strip())
        assert statuses(await exchanged(server.port, few)) == [200]
    assert b"x-token" not in seen
