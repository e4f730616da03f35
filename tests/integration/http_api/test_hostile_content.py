"""Paths, parameters, headers and bodies that are meant to harm, to the API over sockets."""

from __future__ import annotations

import asyncio
import functools
import gzip
import json
import logging
import resource
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from tests.integration.http_api.http_scene import HEADER, TOKEN, Served
from tests.integration.http_api.raw_http import (
    CLOSE,
    HOST,
    PATIENCE,
    connected,
    exchanged,
    get,
    post,
    statuses,
)
from tests.integration.support.pipeline_fixtures import a_vcon

KEY = f"{HEADER}: {TOKEN}".encode()
LAST = CLOSE.strip()
ID = b"018f2a5e-0000-7000-8000-000000000001"


@pytest.fixture(autouse=True)
async def goes_on(served: Served, caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """After each test the API answers, holds no body, and no line of the log has a traceback."""
    yield
    async with served.http(None) as http:
        assert (await http.get("/health")).status_code == 200
    async with asyncio.timeout(PATIENCE):
        while served.application._memory.held_bytes or served.application._admission.taken:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
    assert [each for each in caplog.records if each.levelno >= logging.ERROR or each.exc_info] == []


async def test_paths_that_are_spelt_in_other_ways(served: Served) -> None:
    """No path is normalised: what is no route is 404, and a uuid is a uuid or 422."""
    table = {
        b"//vcon": 404,
        b"/vcon//" + ID: 404,
        b"/api//vcon": 404,
        b"/api/../vcon": 404,
        b"/./vcon": 404,
        b"/api/api/vcon": 404,
        b"/API/vcon": 404,
        b"/Vcon": 404,
        b"/vcon%2F..%2Fconfig": 404,
        b"/vcon/%2e%2e/config": 404,
        b"/vcon/%00": 422,
        b"/vcon/" + ID + b"%00": 422,
        b"/%76con": 200,
        b"/vcon/" + ID + b"%0d%0aX:%20y": 422,
        b"/vcon/%ff%fe": 422,
        b"/vcon/..": 422,
        b"/vcon;x=y": 404,
        b"/vcon/*": 422,
        b"/vcon/" + b"%41" * 5000: 422,
        b"/vcon\\config": 404,
        b"/vcon/%": 422,
        b"/vcon/" + ID + b"/../../config": 404,
        b"/": 404,
        b"/etc/passwd": 404,
        b"/docs/../config": 404,
    }
    for path, status in table.items():
        answered = await exchanged(served.port, get(path, KEY, LAST))
        assert (path, statuses(answered)) == (path, [status])


async def test_parameters_that_are_too_many_or_too_long(served: Served) -> None:
    """Each has its status; a name is looked up, and is no key of Redis and no pattern."""
    many = b"&".join(b"x%d=y" % number for number in range(10_000))
    table = {
        b"/vcon?" + many[:60_000]: 200,
        b"/vcon?" + b"&".join([b"a"] * 10_000): 200,
        b"/vcon?" + b"&" * 60_000: 422,
        b"/vcon?page=1&page=x": 422,
        b"/vcon?page=" + b"9" * 5000: 422,
        b"/vcon?page=%00": 422,
        b"/vcon?page=1e9": 422,
        b"/stats/queue?list_name=%00": 404,
        b"/stats/queue?list_name=*": 404,
        b"/stats/queue?list_name=" + b"x" * 50_000: 404,
        b"/stats/queue?list_name=pc:workers": 404,
        b"/stats/queue?list_name=%0d%0aX-Injected:%20y": 404,
        b"/stats/queue?list_name=%ff": 404,
        b"/stats/queue": 422,
        b"/vcon?" + many: 431,
    }
    for path, status in table.items():
        answered = await exchanged(served.port, get(path, KEY, LAST))
        assert (path[:80], statuses(answered)) == (path[:80], [status])
        assert b"\r\nX-Injected" not in answered
        assert len(answered) < 70_000


async def test_lists_that_are_too_many_or_too_long(served: Served) -> None:
    """No list is made of a name that no chain reads, in any place where lists are named."""
    vcon = json.dumps(a_vcon()).encode()
    names = [
        b"x" * 50_000,
        b",".join([b"y"] * 20_000),
        b"%00",
        b"*",
        b"DLQ:in",
        b"pc:workers",
        b"in%0d%0ax",
    ]
    for name in names:
        for query in (b"ingress_lists=" + name, b"ingress_lists=in&ingress_list=" + name):
            sent = post(vcon, KEY, LAST, path=b"/vcon?" + query)
            answered = await exchanged(served.port, sent)
            assert (name[:20], statuses(answered)) == (name[:20], [404])
        answered = await exchanged(
            served.port, post(vcon, KEY, LAST, b"ingress_list: " + name, path=b"/vcon")
        )
        assert (name[:20], statuses(answered)) == (name[:20], [404])
    assert served.queued("in") == []


async def test_tokens_that_are_repeated_or_odd(served: Served) -> None:
    """The first header counts; nothing of a token is answered."""
    name = HEADER.encode()
    table = [
        ((KEY, name + b": wrong"), 200),
        ((name + b": wrong", KEY), 403),
        ((name + b": ", KEY), 403),
        ((KEY + b"x",), 403),
        ((KEY.upper(),), 403),
        ((name + b": \xff\xfe",), 403),
        ((name + b": " + b"x" * 50_000,), 403),
        ((name.title() + b":" + TOKEN.encode(),), 200),
        ((b"Authorization: Bearer " + TOKEN.encode(),), 403),
        ((), 403),
    ]
    for headers, status in table:
        answered = await exchanged(served.port, get(b"/vcon", *headers, LAST))
        assert (headers, statuses(answered)) == (headers, [status])
        assert TOKEN.encode() not in answered


async def test_origins_that_are_odd(served: Served) -> None:
    """An origin is answered as a header value only; one with a line end is no head."""
    for origin in (b"null", b"x" * 5000, b"\xff", b"http://a, http://b", b""):
        answered = await exchanged(served.port, get(b"/health", b"Origin: " + origin, LAST))
        assert statuses(answered) == [200]


@functools.cache
def bomb() -> bytes:
    """A small body that is 100 MB when it is unpacked."""
    packer = zlib.compressobj(9, wbits=31)
    return packer.compress(bytes(100_000_000)) + packer.flush()


async def test_packed_bodies_that_are_none(served: Served) -> None:
    """413, 415 and 400; a bomb is unpacked up to MAX_VCON_BYTES."""
    vcon = json.dumps(a_vcon()).encode()
    packed, encoding = gzip.compress(vcon), b"Content-Encoding: gzip"
    table = [
        (bomb(), (encoding,), 413),
        (gzip.compress(bomb()), (encoding,), 413),
        (gzip.compress(packed), (b"Content-Encoding: gzip, gzip",), 415),
        (packed, (encoding, encoding), 415),
        (packed, (b"Content-Encoding: br",), 415),
        (packed[:-5], (encoding,), 400),
        (packed + b"garbage", (encoding,), 400),
        (vcon, (encoding,), 400),
        (gzip.compress(b"") * 5000, (encoding,), 400),
        (packed, (encoding,), 201),
        (zlib.compress(vcon), (b"Content-Encoding: deflate",), 201),
    ]
    for body, headers, status in table:
        sent = post(body, KEY, LAST, *headers, path=b"/vcon")
        assert (body[:40], statuses(await exchanged(served.port, sent))) == (body[:40], [status])


async def test_a_bomb_costs_no_more_than_the_limit(served: Served) -> None:
    """100 MB in 100 kB: a few times MAX_VCON_BYTES of memory, for a moment."""
    sent = post(bomb(), KEY, LAST, b"Content-Encoding: gzip", path=b"/vcon")
    tracemalloc.start()
    try:
        assert statuses(await exchanged(served.port, sent)) == [413]
        assert tracemalloc.get_traced_memory()[1] < 3 * served.settings.max_vcon_bytes
    finally:
        tracemalloc.stop()


async def test_a_body_above_the_limit_is_refused_before_it_is_sent(served: Served) -> None:
    """By its length at once, without one at the limit; the client reads the 413."""
    limit = served.settings.max_vcon_bytes
    answered = await exchanged(served.port, post(b"", KEY, path=b"/vcon", length=10**15))
    assert statuses(answered) == [413]
    piece = b"%x\r\n" % 100_000 + b" " * 100_000 + b"\r\n"
    start = b"POST /vcon HTTP/1.1\r\n" + HOST + KEY + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    answered = await exchanged(served.port, start, *[piece] * (limit // 100_000 + 20))
    assert statuses(answered) == [413]


async def test_a_body_without_a_token_is_not_read(served: Served) -> None:
    """403 while the client still sends; the body is no request."""
    body = get(b"/vcon", KEY) * 10_000
    answered = await exchanged(served.port, post(b"", path=b"/vcon", length=len(body)), body)
    assert statuses(answered) == [403]


async def test_clients_that_go_away_hold_nothing(served: Served) -> None:
    """At every place of a request; a vCon is stored whole or not at all."""
    vcon = a_vcon()
    sent = post(json.dumps(vcon).encode(), KEY, path=b"/vcon?ingress_lists=in")
    for end in range(0, len(sent), 23):
        async with connected(served.port) as client:
            await client.send(sent[:end])
    assert served.queued("in") == []
    for _ in range(5):
        async with connected(served.port) as client:
            await client.send(sent)


CONNECTIONS = 1000


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Enough for both ends of the connections, which are in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4 * CONNECTIONS, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_descriptors")
async def test_a_thousand_connections_at_once(served: Served) -> None:
    """Clients that do nothing, begin a head or a body, or read no answer; a request is answered."""
    starts = (b"", b"GET /", post(b"{", KEY, path=b"/vcon", length=100), get(b"/docs", KEY) * 10)
    async with AsyncExitStack() as stack:
        for number in range(CONNECTIONS):
            client = await stack.enter_async_context(connected(served.port))
            await client.send(starts[number % len(starts)])
        async with asyncio.timeout(PATIENCE):
            async with served.http() as http:
                assert (await http.post("/vcon", json=a_vcon())).status_code == 201
