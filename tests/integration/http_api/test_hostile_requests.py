"""Requests that are no HTTP, or that two servers would read in two ways, over sockets."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Mapping

import pytest

from tests.integration.http_api.http_scene import HEADER, TOKEN, Served
from tests.integration.http_api.raw_http import CLOSE, HOST, connected, exchanged, get, statuses

KEY = f"{HEADER}: {TOKEN}\r\n".encode()
SMUGGLED = b"GET /vcon/egress?egress_list=out HTTP/1.1\r\n" + HOST + KEY + b"\r\n"
START = b"POST /vcon HTTP/1.1\r\n" + HOST + KEY


@pytest.fixture(autouse=True)
async def goes_on(served: Served, caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """After each test the API answers, and no line of the log has a traceback."""
    yield
    async with served.http(None) as http:
        assert (await http.get("/health")).status_code == 200
    assert [each for each in caplog.records if each.levelno >= logging.ERROR or each.exc_info] == []


async def check(served: Served, table: Iterable[bytes], expected: int) -> None:
    """Each of these has one answer with this status, then the connection is closed."""
    for sent in table:
        answered = await exchanged(served.port, sent)
        assert (sent[:300], statuses(answered)) == (sent[:300], [expected])


async def check_each(served: Served, table: Mapping[bytes, int]) -> None:
    """Each of these has one answer with its status."""
    for sent, status in table.items():
        await check(served, [sent], status)


def headed(*lines: bytes, rest: bytes = b"") -> bytes:
    """A POST with these header lines, and with these bytes behind its head."""
    return START + b"".join(each + b"\r\n" for each in lines) + b"\r\n" + rest


async def test_lengths_that_contradict_each_other(served: Served) -> None:
    """400, and what stands behind is no request."""
    length, chunks = b"Content-Length: 5", b"Transfer-Encoding: chunked"
    end = b"0\r\n\r\n" + SMUGGLED
    table = [
        headed(length, chunks, rest=end),
        headed(chunks, length, rest=end),
        headed(length, b"Content-Length: 6", rest=end),
        headed(length, length, rest=end),
        headed(b"Content-Length: 5, 5", rest=end),
        headed(b"Content-Length: +5", rest=end),
        headed(b"Content-Length: -5", rest=end),
        headed(b"Content-Length: 0x5", rest=end),
        headed(b"Content-Length: 5 5", rest=end),
        headed(b"Content-Length: 5.0", rest=end),
        headed(b"Content-Length: ", rest=end),
        headed(b"Content-Length: 18446744073709551621", rest=end),
        headed(chunks, b"Transfer-Encoding: identity", rest=end),
        headed(b"Transfer-Encoding: identity, chunked, identity", rest=end),
        headed(b"Transfer-Encoding: \x0bchunked", rest=end),
        headed(b"Transfer-Encoding:\r\n chunked", rest=end),
        headed(b"Transfer-Encoding: ", rest=end),
        headed(b"Transfer-Encoding : chunked", rest=end),
        headed(b"Transfer-Encoding\t: chunked", rest=end),
        headed(b" Transfer-Encoding: chunked", rest=end),
        headed(chunks, rest=end).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    ]
    await check(served, table, 400)


async def test_encodings_of_transfer_that_are_not_known(served: Served) -> None:
    """501, before any of the body is read."""
    end = b"0\r\n\r\n" + SMUGGLED
    codings = (b"xchunked", b"identity", b"gzip, chunked", b"chunked;q=1", b'"chunked"', b"gzip")
    table = [headed(b"Transfer-Encoding: " + each, rest=end) for each in codings]
    await check(served, table, 501)


async def test_chunks_that_are_none(served: Served) -> None:
    """400, and what stands behind is no request."""
    sizes = (
        *(b"0x1\r\na\r\n", b"-1\r\na\r\n", b"+1\r\na\r\n", b"1 \r\na\r\n", b" 1\r\na\r\n"),
        *(b"g\r\na\r\n", b"\r\na\r\n", b"fffffffffffffffff\r\na\r\n", b"1\na\n", b"1\r\nab\r\n"),
        *(b"1\r\na0\r\n", b"1;\x00\r\na\r\n", b"1\r\na\n", b"1_0\r\na\r\n"),
    )
    chunks = b"Transfer-Encoding: chunked"
    table = [headed(chunks, rest=each + b"0\r\n\r\n" + SMUGGLED) for each in sizes]
    trailers = (b"X : y\r\n", b"X: y\r\n z\r\n", b"X: y\nZ: y\r\n", b"no colon\r\n")
    table += [headed(chunks, rest=b"0\r\n" + each + b"\r\n" + SMUGGLED) for each in trailers]
    await check(served, table, 400)


async def test_a_body_that_does_not_end(served: Served) -> None:
    """No answer to a client that closes before the end of its body."""
    starts = [
        headed(b"Transfer-Encoding: chunked", rest=b"2\r\n{}\r\n"),
        headed(b"Transfer-Encoding: chunked", rest=b"a\r\nabc"),
        headed(b"Transfer-Encoding: chunked", rest=b"2\r\n{}\r\n0\r\n"),
        headed(b"Content-Length: 100", rest=b"{}"),
    ]
    for start in starts:
        async with connected(served.port) as client:
            await client.send(start)
            client.writer.write_eof()
            assert await client.answers() == b""


async def test_a_body_longer_than_its_length(served: Served) -> None:
    """What is beyond is the next request, which is not answered if it is none."""
    await check(served, [headed(b"Content-Length: 2", rest=b"{}{}")], 422)
    answered = await exchanged(
        served.port, headed(b"Content-Length: 2", rest=b"{}" + get(b"/health", CLOSE.strip()))
    )
    assert statuses(answered) == [422, 200]


async def test_trailers_do_not_become_headers(served: Served) -> None:
    """A token in a trailer opens nothing."""
    body = b"2\r\n{}\r\n0\r\n" + KEY + b"\r\n"
    sent = b"POST /vcon HTTP/1.1\r\n" + HOST + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n" + body
    await check(served, [sent], 403)


async def test_heads_that_are_none(served: Served) -> None:
    """400: bare line feeds, folded lines, spaces, control characters, names that are no names."""
    lines = (
        *(b"X: y\r\n z", b"X : y", b" X: y", b"X: y\x00z", b"X: y\rz", b"X: y\nZ: y", b": y"),
        *(b"X y: z", b"X\x00: y", b"X\xff: y", b"X", b"X: y\x7f", b"X(y): z", b"X: \x01"),
    )
    table = [get(b"/health", each) for each in lines]
    table += [
        b"GET /health HTTP/1.1\nHost: api\n\n",
        b"GET /health HTTP/1.1\r\nHost: api\n\r\n",
        b"GET /health HTTP/1.1\r\n\r\n",
        get(b"/health", HOST.strip()),
        b"GET /hea lth HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET\t/health HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /health HTTP/1.1 \r\n" + HOST + b"\r\n",
        b"GET /health HTTP/1.2\r\n" + HOST + b"\r\n",
        b"GET /health http/1.1\r\n" + HOST + b"\r\n",
        b"GET /health\x00 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n",
        b"get /health HTTP/1.1 x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00" * 1000,
        b"\r\n" * 10 + b"x\r\n\r\n",
    ]
    await check(served, table, 400)


async def test_other_versions_and_upgrades(served: Served) -> None:
    """505, 417, and 400 for WebSockets; HTTP/1.0 is answered and closed."""
    upgrade = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13")
    await check_each(
        served,
        {
            b"GET /health\r\n\r\n": 505,
            b"GET /health HTTP/2.0\r\n" + HOST + b"\r\n": 505,
            b"GET /health HTTP/1.0\r\n\r\n": 200,
            b"GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n": 200,
            get(b"/health", b"Expect: the unexpected"): 417,
            get(b"/health", *upgrade): 400,
            get(b"/health", b"Connection: Upgrade", b"Upgrade: h2c", b"Connection: close"): 200,
        },
    )


async def test_forms_of_the_target(served: Served) -> None:
    """Absolute targets are requests of their path; CONNECT is no method here."""
    end = b" HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n"
    await check_each(
        served,
        {
            b"GET http://elsewhere/health" + end: 200,
            b"GET http://elsewhere" + end: 404,
            b"GET http://user:secret@elsewhere:1/health?x=y" + end: 200,
            b"GET elsewhere:443" + end: 400,
            b"GET health" + end: 400,
            b"CONNECT elsewhere:443" + end: 405,
            b"OPTIONS *" + end: 404,
            b"GET *" + end: 404,
            b"GET /health#fragment" + end: 200,
            b"GET ?health" + end: 400,
            b"GET file:///etc/passwd" + end: 400,
        },
    )


async def test_unknown_methods(served: Served) -> None:
    """405 in the words of vcon-server, for methods that HTTP knows and that it does not."""
    end = b" /vcon HTTP/1.1\r\n" + HOST + KEY + CLOSE + b"\r\n"
    for method in (b"BREW", b"get", b"PUT", b"PATCH", b"TRACE", b"PROPFIND", b"OPTIONS", b"X" * 30):
        answered = await exchanged(served.port, method + end)
        assert (method, statuses(answered)) == (method, [405])
        assert answered.endswith(b'{"detail":"Method Not Allowed"}')
    answered = await exchanged(served.port, b"HEAD" + end)
    assert statuses(answered) == [200]
    assert answered.endswith(b"\r\n\r\n")
