"""The server of the HTTP API: its start, its stop, and the answers on one connection."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket

import pytest

from core.errors import ConfigurationError
from http_api.serving.protocol import MOST_PIPELINED
from http_api.serving.server import ApiServer
from tests.integration.http_api.raw_http import (
    CLOSE,
    HOST,
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


async def echo(scope: Message, receive: Receive, send: Send) -> None:
    """Answer with the path and the body."""
    if (body := await body_of(receive)) is not None:
        await give(send, scope["path"].encode() + b" " + body)


class Gate:
    """An application whose answers wait until the test says so."""

    def __init__(self) -> None:
        self.entered, self.open, self.left = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] == "/gate":
            self.entered.set()
            try:
                await self.open.wait()
            finally:
                self.left.set()
        await echo(scope, receive, send)


async def test_a_port_in_use_is_told() -> None:
    """Before anything is served; the message names the setting."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = f"API_PORT: cannot listen on {port}: Address already in use"
        with pytest.raises(ConfigurationError, match=told):
            ApiServer(echo, "127.0.0.1", port)
    with pytest.raises(ConfigurationError, match=r"API_HOST: host\.invalid is no address"):
        ApiServer(echo, "host.invalid", 0)


async def test_it_listens_on_ipv6(caplog: pytest.LogCaptureFixture) -> None:
    """An address with a colon is one of IPv6; the log says where it listens."""
    caplog.set_level(logging.INFO)
    server = ApiServer(echo, "::1", 0)
    running = asyncio.create_task(server.run())
    reader, writer = await asyncio.open_connection("::1", server.port)
    writer.write(get(b"/six", b"Connection: close"))
    assert (await reader.read()).endswith(b"/six ")
    [line] = [each for each in caplog.records if each.msg == "HTTP API listens"]
    assert vars(line)["address"] == f"[::1]:{server.port}"
    writer.close()
    await server.stop(grace=PATIENCE)
    await running


async def test_it_can_be_stopped_before_it_runs_and_twice() -> None:
    """The port is free after the first."""
    server = ApiServer(echo, "127.0.0.1", 0)
    await server.stop(grace=PATIENCE)
    await server.stop(grace=PATIENCE)
    await server.run()
    ApiServer(echo, "127.0.0.1", server.port)._listener.close()


async def test_signals_and_logging_stay_as_they_are() -> None:
    """Both belong to the process that serves."""
    loggers = [logging.getLogger(), *map(logging.getLogger, ("uvicorn", "uvicorn.access"))]
    before = [(each.level, each.handlers[:], each.propagate) for each in loggers]
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    async with served(echo):
        assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers
        assert [(each.level, each.handlers[:], each.propagate) for each in loggers] == before


async def test_a_connection_serves_many_requests() -> None:
    """In order, with a date and without the name of the server."""
    async with served(echo) as server, connected(server.port) as client:
        for number in range(3):
            await client.send(post(b"body", path=b"/%d" % number))
            assert await client.answer() == (200, b"/%d body" % number)
        await client.send(get(b"/last", CLOSE.strip()))
        last = (await client.answers()).lower()
        assert b"\r\ndate: " in last
        assert b"\r\nserver: " not in last
        assert b"connection: close" in last


async def test_a_stop_answers_what_is_in_work_and_accepts_nothing_new() -> None:
    """The answer says that the connection closes; idle ones are closed."""
    gate = Gate()
    server = ApiServer(gate, "127.0.0.1", 0)
    running = asyncio.create_task(server.run())
    async with connected(server.port) as idle, connected(server.port) as busy:
        await idle.send(get())
        await idle.answer()
        await busy.send(get(b"/gate"))
        await gate.entered.wait()
        stopping = asyncio.create_task(server.stop(grace=PATIENCE))
        assert await idle.answers() == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", server.port)
        gate.open.set()
        answered = await busy.answers()
        assert b"connection: close" in answered
        assert answered.endswith(b"/gate ")
    await asyncio.gather(stopping, server.stop(grace=PATIENCE), running)
    assert server.connections == 0


async def test_a_request_that_was_on_its_way_is_answered_during_the_stop() -> None:
    """On a connection that is open, and on one that only the kernel knows."""
    server = ApiServer(echo, "127.0.0.1", 0)
    with socket.create_connection(("127.0.0.1", server.port)) as waiting:
        waiting.sendall(get(b"/waiting"))
        running = asyncio.create_task(server.run())
        async with connected(server.port) as client:
            await client.send(get())
            await client.answer()
            stopping = asyncio.create_task(server.stop(grace=PATIENCE))
            await client.send(get(b"/late"))
            assert (await client.answers()).endswith(b"/late ")
        await asyncio.gather(stopping, running)
        assert waiting.recv(65_536).endswith(b"/waiting ")


async def test_after_the_grace_requests_are_cancelled() -> None:
    """Their clients see the connection closed."""
    gate = Gate()
    async with served(gate) as server, connected(server.port) as client:
        await client.send(get(b"/gate"))
        await gate.entered.wait()
        await server.stop(grace=0.01)
        assert await client.answers() == b""
        await gate.left.wait()


async def test_a_run_that_is_cancelled_closes_all() -> None:
    """At once, the listener too."""
    server = ApiServer(echo, "127.0.0.1", 0)
    running = asyncio.create_task(server.run())
    async with connected(server.port) as client:
        await client.send(get())
        await client.answer()
        running.cancel()
        assert await client.answers() == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", server.port)
    await asyncio.gather(running, return_exceptions=True)


async def test_requests_sent_at_once_are_answered_in_order() -> None:
    """Also with bodies, and cut at every byte."""
    sent = get(b"/1") + post(b"two", path=b"/2") + chunked(b"3\r\nabc\r\n0\r\n\r\n", path=b"/3")
    sent += get(b"/4", CLOSE.strip())
    async with served(echo) as server:
        for parts in ([sent], [sent[at : at + 1] for at in range(len(sent))]):
            answered = await exchanged(server.port, *parts)
            assert statuses(answered) == [200] * 4
            places = [answered.index(each) for each in (b"/1 ", b"/2 two", b"/3 abc", b"/4 ")]
            assert places == sorted(places)


async def test_requests_that_wait_on_one_connection_are_bounded() -> None:
    """The first ones are answered, then the connection is closed."""
    gate = Gate()
    async with served(gate) as server, connected(server.port) as client:
        await client.send(get(b"/gate") * 1000)
        await gate.entered.wait()
        gate.open.set()
        assert statuses(await client.answers()) == [200] * (MOST_PIPELINED + 1)


async def test_an_answer_before_the_body_is_read_by_the_client() -> None:
    """The rest of the body is dropped, not answered with a reset, and it is not a request."""

    async def refuse(scope: Message, receive: Receive, send: Send) -> None:
        await give(send, b"too large", 413)

    body = get(b"/smuggled") * 20_000
    async with served(refuse) as server:
        answered = await exchanged(server.port, post(b"", length=len(body)), body)
        assert statuses(answered) == [413]
        assert b"connection: close" in answered


async def test_expect_is_answered_when_the_body_is_read() -> None:
    """The client gets 100 and then the answer; or the answer alone if the body is not read."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await (give(send, b"", 403) if scope["path"] == "/no" else echo(scope, receive, send))

    expect = b"Expect: 100-continue"
    async with served(app) as server:
        async with connected(server.port) as client:
            await client.send(post(b"", expect, length=3))
            assert await client.answer() == (100, b"")
            await client.send(b"abc")
            assert await client.answer() == (200, b"/ abc")
        assert statuses(await exchanged(server.port, post(b"", expect, path=b"/no", length=3))) == [
            403
        ]


@pytest.mark.parametrize("protocol", [b"h2c", b"TLS/1.0, HTTP/1.1"])
async def test_an_upgrade_that_may_be_ignored_is_ignored(protocol: bytes) -> None:
    """Java's client asks for HTTP/2 with its first request, which may have a body."""
    asked = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: " + protocol, b"HTTP2-Settings: AA")
    async with served(echo) as server:
        sent = post(b"one", *asked, path=b"/1") + get(b"/2", CLOSE.strip())
        answered = await exchanged(server.port, sent)
        assert statuses(answered) == [200, 200]
        assert b"/1 one" in answered


async def test_a_client_that_closes_its_half_is_answered() -> None:
    """As `nc` does; a body that was not complete has no answer."""
    async with served(echo) as server:
        async with connected(server.port) as client:
            await client.send(get(b"/nc"))
            client.writer.write_eof()
            assert (await client.answers()).endswith(b"/nc ")
        async with connected(server.port) as client:
            await client.send(post(b"abc", length=10))
            client.writer.write_eof()
            assert await client.answers() == b""


async def test_an_application_that_fails_is_answered_for(caplog: pytest.LogCaptureFixture) -> None:
    """500, and one line of the log; the next request on the server succeeds."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] == "/raise":
            raise ValueError("in the application")
        if scope["path"] != "/nothing":
            await echo(scope, receive, send)

    async with served(app) as server:
        for path, line in ((b"/raise", "failed"), (b"/nothing", "gave no answer")):
            caplog.clear()
            assert statuses(await exchanged(server.port, get(path))) == [500]
            assert [each.getMessage() for each in caplog.records] == [f"HTTP application {line}"]
        assert statuses(await exchanged(server.port, get(b"/", CLOSE.strip()))) == [200]


async def test_a_client_that_goes_away_is_told_to_the_application() -> None:
    """While it reads the body; it holds nothing for long."""
    gone: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await gone.put(await body_of(receive))

    async with served(app) as server:
        async with connected(server.port) as client:
            await client.send(post(b"abc", length=10))
        async with asyncio.timeout(PATIENCE):
            assert await gone.get() is None


async def test_http_1_0_has_one_request_for_each_connection() -> None:
    """No Host is needed, and `Expect` means nothing."""
    sent = b"POST /old HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab"
    async with served(echo) as server:
        answered = await exchanged(server.port, sent)
        assert statuses(answered) == [200]
        assert answered.endswith(b"/old ab")
        assert statuses(
            await exchanged(server.port, b"GET http://api HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n")
        ) == [200]


class Caller:
    """A client that keeps its connection while it may, until no new one is accepted."""

    def __init__(self) -> None:
        self.sent = self.answered = 0

    async def call(self, port: int, first: asyncio.Event) -> None:
        """Each request has an answer, or no connection for it."""
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                return
            is_open = True
            while is_open:
                self.sent += 1
                writer.write(post(b"x" * 2000))
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(2002)
                self.answered += 1
                first.set()
                is_open = b"connection: close" not in head
            writer.close()


async def test_no_request_is_lost_by_a_stop_under_load() -> None:
    """Clients that send one request after another get an answer to each, or no connection."""
    server = ApiServer(echo, "127.0.0.1", 0)
    running = asyncio.create_task(server.run())
    callers, first = [Caller() for _ in range(50)], asyncio.Event()
    calls = [asyncio.create_task(each.call(server.port, first)) for each in callers]
    await first.wait()
    await server.stop(grace=PATIENCE)
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*calls, running)
    assert [each.sent for each in callers] == [each.answered for each in callers]
