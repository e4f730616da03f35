"""Requests with random mistakes, cut at random places: the server ends each, and goes on."""

from __future__ import annotations

import asyncio
import logging
import random

import pytest

from http_api.serving.connections import ServerLimits
from tests.integration.http_api.raw_http import (
    CLOSE,
    PATIENCE,
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

PATHS = (b"/", b"/early", b"//x", b"/large", b"http://other/early")
BODIES = (b"", b"0", b"y" * 10, b"y" * 3000, b"y" * 100_000)
CHUNKS = (b"1\r\na\r\n", b"5;x=y\r\nabcde\r\n", b"7d0\r\n" + bytes(2000) + b"\r\n")
ENDS = (b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\nT: x\r\n\r\n", b"")
EXTRAS = (
    b"Expect: 100-continue",
    b"Connection: close",
    b"Connection: Upgrade\r\nUpgrade: h2c",
    b"X: y",
)
CONNECTIONS = 80


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Answer with or without reading the body; large answers too."""
    if "early" not in scope["path"] and await body_of(receive) is None:
        return
    await give(send, b"x" * (200_000 if scope["path"] == "/large" else 5))


def request(choice: random.Random) -> bytes:
    """A request, well-formed or not."""
    extras = choice.sample(EXTRAS, choice.randint(0, 2))
    path = choice.choice(PATHS)
    if choice.random() < 0.5:
        body = choice.choice(BODIES)
        length = max(0, len(body) + choice.choice((0, 0, 0, 0, 0, -1, 5)))
        sent = bytearray(post(body, *extras, path=path, length=length))
    else:
        chunks = b"".join(choice.choices(CHUNKS, k=choice.randint(0, 4)))
        sent = bytearray(chunked(chunks + choice.choice(ENDS), *extras, path=path))
    if choice.random() < 0.1:
        sent[choice.randrange(len(sent))] = choice.randrange(256)
    return bytes(sent)


async def talk(port: int, seed: int) -> None:
    """One connection: several requests, in pieces, and then one of three ends."""
    choice = random.Random(seed)
    data = b"".join(request(choice) for _ in range(choice.randint(1, 20)))
    async with connected(port) as client:
        reading = asyncio.create_task(client.answers())
        while data:
            size = choice.choice((20, 100, 5000, 70_000, len(data)))
            await client.send(data[:size])
            data = data[size:]
        end = choice.random()
        if end < 0.3:
            client.writer.transport.abort()
        elif end < 0.6 and not client.writer.transport.is_closing():
            client.writer.write_eof()
        await reading


async def test_no_mistake_stops_the_server(caplog: pytest.LogCaptureFixture) -> None:
    """All connections end, nothing is logged as an error, and the next request is answered."""
    limits = ServerLimits(1000, 8192, 0.2, 0.4, 0.2, 2_000_000)
    async with served(app, limits) as server:
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(talk(server.port, seed) for seed in range(CONNECTIONS)))
            while server.connections or server._connections.tasks:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        connections = server._connections
        assert [*connections._open, *connections._without_work, *connections._unread] == []
        assert statuses(await exchanged(server.port, get(b"/", CLOSE.strip()))) == [200]
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


async def test_a_body_that_breaks_while_its_client_waits_to_send(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The application reads after the refusal: the client is not told to go on."""
    go_on, ended = asyncio.Event(), asyncio.Event()

    async def late(scope: Message, receive: Receive, send: Send) -> None:
        await go_on.wait()
        assert await body_of(receive) is None
        ended.set()

    async with served(late) as server:
        answered = await exchanged(server.port, chunked(b"x", b"Expect: 100-continue"))
        go_on.set()
        await ended.wait()
        assert statuses(answered) == [400]
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


async def test_a_client_that_resets_before_an_early_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The end of a connection that is reset is no error of the application."""
    entered = asyncio.Event()

    async def early(scope: Message, receive: Receive, send: Send) -> None:
        entered.set()
        client.writer.transport.abort()  # in the same step of the loop as the answer
        await give(send, b"no", 413)

    async with served(early) as server, connected(server.port) as client:
        await client.send(post(b"{", length=100))
        await entered.wait()
        await client.answers()
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []
