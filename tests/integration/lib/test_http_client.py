"""The shared HTTP client: how many connections it uses, and whose they are."""

from __future__ import annotations

import asyncio
import gc
import gzip
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trustme

from lib.openai_client import get_async_openai_client
from lib.web import http_client
from lib.web.aiohttp_transport import TooLargeError
from lib.web.client import AiohttpClient
from lib.web.http_client import close, connections, fit, following_client, shared_client
from lib.web.http_retry import HttpRetry, VendorError, call_vendor, is_transient

MANY = 150
CEILING_SECONDS = 60


class Server:
    """Answers with `answers`, then `answer`, when `held` allows; knows its connections."""

    def __init__(self) -> None:
        self.url = ""
        self.made = 0
        self.requests: list[bytes] = []
        self.open: set[asyncio.StreamWriter] = set()
        self.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
        self.answers: list[bytes] = []
        self.held: Callable[[], Any] = lambda: asyncio.sleep(0)
        self.changed = asyncio.Condition()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.made += 1
        self.open.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r")[0] or 0)
                self.requests.append(head + await reader.readexactly(length))
                await self.held()
                writer.write(self.answers.pop(0) if self.answers else self.answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open.discard(writer)
            writer.close()
            async with self.changed:
                self.changed.notify_all()

    async def until_closed(self) -> None:
        """Wait until the client has closed all connections."""
        async with self.changed:
            await self.changed.wait_for(lambda: not self.open)


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """A server on a free port."""
    found = Server()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0, ssl=tls, backlog=2 * MANY)
    found.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield found
    finally:
        for writer in [*found.open]:
            writer.close()
        server.close()


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    """No client of a test is left, and none takes too long."""
    async with asyncio.timeout(CEILING_SECONDS):
        yield
    await close()


async def in_crowd(server: Server, send: Callable[[], Any]) -> list[Any]:
    """`MANY` requests at once to a server that answers when all have arrived."""
    everyone = asyncio.Barrier(MANY)
    server.held = everyone.wait
    return await asyncio.gather(*(send() for _ in range(MANY)))


@pytest.mark.parametrize("client", [shared_client, following_client])
async def test_requests_wait_for_no_connection(client: Callable[[], httpx.AsyncClient]) -> None:
    """However many there are; a second crowd uses the connections of the first."""
    async with serving() as server:
        for _ in range(2):
            answers = await in_crowd(server, lambda: client().post(server.url, content=b"{}"))
            assert {each.text for each in answers} == {"ok"}
        assert server.made == MANY
        await close()
        await server.until_closed()


async def test_requests_to_a_language_model_wait_for_no_connection() -> None:
    """OpenAI's library has a pool of its own unless it is given a client."""
    chat = b'{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[]}'
    async with serving() as server:
        length = str(len(chat)).encode()
        json = b"content-type: application/json\r\ncontent-length: "
        server.answer = b"HTTP/1.1 200 OK\r\n" + json + length + b"\r\n\r\n" + chat
        client = get_async_openai_client(
            {"LITELLM_PROXY_URL": server.url, "LITELLM_MASTER_KEY": "none"}
        )
        ask = client.chat.completions.create
        answers = await in_crowd(server, lambda: ask(model="m", messages=[]))
        assert {each.id for each in answers} == {"1"}
        await in_crowd(server, lambda: ask(model="m", messages=[]))
        assert server.made == MANY


async def test_a_server_that_hangs_takes_no_connections_of_others() -> None:
    """`MANY` requests to it are open while another server answers."""
    async with serving() as hanging, serving() as other:
        everyone, over = asyncio.Barrier(MANY + 1), asyncio.Event()

        async def hang() -> None:
            await everyone.wait()
            await over.wait()

        hanging.held = hang
        crowd = [shared_client().get(hanging.url) for _ in range(MANY)]
        waiting = asyncio.gather(*crowd)
        await everyone.wait()
        assert (await shared_client().get(other.url)).text == "ok"
        over.set()
        await waiting


async def test_a_server_that_closes_idle_connections_causes_no_failure() -> None:
    """The next request opens another one."""
    async with serving() as server:
        await shared_client().post(server.url, content=b"{}")
        for writer in [*server.open]:
            writer.close()
        await server.until_closed()
        assert (await shared_client().post(server.url, content=b"{}")).text == "ok"
        assert server.made == 2


async def test_an_abandoned_request_leaves_no_connection() -> None:
    """Its answer must not be taken for that of the next request."""
    async with serving() as server:
        asked = asyncio.Event()

        async def hang() -> None:
            asked.set()
            await asyncio.Event().wait()

        server.held = hang
        request = asyncio.create_task(shared_client().get(server.url))
        await asked.wait()
        request.cancel()
        await asyncio.wait([request])
        server.held = lambda: asyncio.sleep(0)
        assert (await shared_client().get(server.url)).text == "ok"
        assert server.made == 2


async def test_a_certificate_of_an_unknown_authority_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """It is accepted if SSL_CERT_FILE names the authority."""
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with serving(tls) as server:
        with pytest.raises(httpx.ConnectError) as refused:
            await shared_client().get(server.url)
        assert is_transient(refused.value)
        await close()
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert (await shared_client().get(server.url)).text == "ok"


async def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Except for the hosts of NO_PROXY."""
    async with serving() as server, serving() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("//", "//me:secret@"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        await shared_client().get("http://nowhere.invalid/in?a=%2F")
        await shared_client().get(server.url)
    [request] = proxy.requests
    assert request.startswith(b"GET http://nowhere.invalid/in?a=%2F HTTP/1.1\r\n")
    assert b"proxy-authorization: basic bwu6c2vjcmv0" in request.lower()
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("user", "answer", "headers"),
    [
        ("", b"", {}),
        ("me:p%40ss@", b"", {"Authorization": "Bearer x"}),
        ("", b"set-cookie: a=b; Path=/\r\n", {"Accept": "text/plain", "User-Agent": "own"}),
    ],
    ids=["plain", "user in the URL", "cookie"],
)
async def test_an_exchange_sends_what_a_request_sends(
    user: str, answer: bytes, headers: dict[str, str]
) -> None:
    """Usual headers, users in URLs and cookies; the second one has the cookie of the first."""
    async with serving() as server:
        server.answer = server.answer.replace(b"\r\n\r\n", b"\r\n" + answer + b"\r\n")
        url = f"{server.url.replace('//', f'//{user}')}/in?a=%2F&b=x y"
        for client in (AiohttpClient(timeout=None), AiohttpClient(timeout=None)):
            for _ in range(2):
                if len(server.requests) < 2:
                    got = await client.exchange("POST", url, headers=headers, content=b"{}")
                    assert (got.status, got.content) == (200, b"ok")
                else:
                    await client.post(url, headers=headers, content=b"{}")
            await client.aclose()
        sent = [sorted(request.lower().split(b"\r\n")) for request in server.requests]
        assert (sent[:2], len(sent)) == (sent[2:], 4)
        assert any(line == b"cookie: a=b" for line in sent[1]) is bool(answer)


async def test_an_exchange_follows_redirects_as_its_client_does() -> None:
    """With the method and the body, and without the key if it is another server."""
    async with serving() as server, serving() as other:
        moved = f"HTTP/1.1 307 Moved\r\nlocation: {other.url}/new\r\ncontent-length: 0\r\n\r\n"
        server.answer = moved.encode()
        given: Any = {"headers": {"authorization": "Bearer x"}, "content": b"{}"}
        assert (await shared_client().exchange("POST", server.url, **given)).status == 307
        assert (await following_client().exchange("POST", server.url, **given)).content == b"ok"
        assert len(server.requests) == 2  # each once: what it has done would be done twice
        [request] = other.requests
        assert request.startswith(b"POST /new ")
        assert request.endswith(b"\r\n\r\n{}")
        assert b"authorization" not in request.lower()


async def test_an_exchange_through_a_proxy_with_tls(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """Which goes through the connections of `httpx`."""
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    async with serving(tls) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        answer = await shared_client().exchange(
            "POST", "http://nowhere.invalid/", headers={"x": "y"}, content=b"{}"
        )
        assert (answer.status, answer.content) == (200, b"ok")
        assert proxy.requests[0].lower().count(b"\r\nx: y\r\n") == 1
        with pytest.raises(TooLargeError):
            await shared_client().exchange(
                "GET", "http://nowhere.invalid/", headers={}, most_bytes=1
            )


async def test_a_proxy_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request without any other limit would wait for ever."""
    async with serving() as proxy:
        over = asyncio.Event()
        proxy.held = over.wait
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(httpx.ConnectTimeout):
            await shared_client().get("https://nowhere.invalid", timeout=0.1)
        over.set()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", httpx.RemoteProtocolError),
        (b"", httpx.RemoteProtocolError),
        (b"What?\r\n\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nx: " + b"x" * 100_000 + b"\r\n\r\n", httpx.RemoteProtocolError),
    ],
    ids=["cut off", "nothing", "not HTTP", "long header"],
)
async def test_errors_are_those_of_httpx(answer: bytes, error: type[Exception]) -> None:
    """So that `http_retry` and callers recognise them."""
    async with serving() as server:

        async def break_off() -> None:
            writer = next(iter(server.open))
            writer.write(answer)
            writer.close()

        server.held = break_off
        with pytest.raises(error) as raised:
            await shared_client().post(server.url, content=b"{}")
        assert is_transient(raised.value)


async def test_a_request_that_cannot_be_sent_is_not_repeated() -> None:
    """A line break in a header, an unknown scheme."""
    async with serving() as server:
        with pytest.raises(httpx.LocalProtocolError) as wrong:
            await shared_client().get(server.url, headers={"x": "a\r\nb: c"})
        assert not is_transient(wrong.value)
        with pytest.raises(httpx.UnsupportedProtocol):
            await shared_client().get("ftp://127.0.0.1/")
        assert server.requests == []


async def test_the_time_limits_of_a_request_count() -> None:
    """Vendors' libraries set them."""
    async with serving() as server:
        server.held = asyncio.Event().wait
        with pytest.raises(httpx.ReadTimeout) as late:
            await shared_client().get(server.url, timeout=httpx.Timeout(CEILING_SECONDS, read=0.01))
        assert is_transient(late.value)


@pytest.mark.parametrize("packed", [True, False])
async def test_content_that_is_read_at_once_is_bounded(
    monkeypatch: pytest.MonkeyPatch, *, packed: bool
) -> None:
    """Also what a vendor's library reads, unpacked, and without a repeat; but not a stream."""
    monkeypatch.setattr("lib.web.aiohttp_transport.MOST_BYTES", 1000)
    async with serving() as server:
        content = gzip.compress(b" " * 1001) if packed else b" " * 1001
        encoding = "content-encoding: gzip\r\n" if packed else ""
        head = f"HTTP/1.1 200 OK\r\n{encoding}content-length: {len(content)}\r\n\r\n"
        server.answer = head.encode() + content
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        api = get_async_openai_client({"api_key": "key"})
        with pytest.raises(VendorError, match=r"^the answer has more than 1000 bytes$"):
            await call_vendor(api.models.list, HttpRetry(9, 5, 0.001), "OpenAI")
        assert len(server.requests) == 1
        with pytest.raises(TooLargeError):
            await shared_client().exchange("GET", server.url, headers={}, most_bytes=1000)
        got = await shared_client().exchange("GET", server.url, headers={}, most_bytes=1001)
        assert got.content == b" " * 1001
        async with shared_client().stream("GET", server.url) as answer:
            assert sum([len(some) async for some in answer.aiter_bytes()]) == 1001


async def test_content_is_decompressed_once() -> None:
    """By `httpx`, not by the connection."""
    async with serving() as server:
        content = gzip.compress(b"hello")
        head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n"
        server.answer = head.format(len(content)).encode() + content
        answer = await shared_client().get(server.url)
        assert (answer.text, answer.headers["content-encoding"]) == ("hello", "gzip")


@pytest.mark.parametrize("size", [2**20, 2**20 + 1])
async def test_a_large_body_arrives_as_it_was_given(size: int) -> None:
    """With its length in the head, and without a warning of the library."""
    async with serving() as server:
        body = b"x" * size
        for method in ("POST", "PATCH"):
            await shared_client().request(method, server.url, content=body)
        heads = [request.lower().split(b"\r\n\r\n") for request in server.requests]
        assert [content for _, content in heads] == [body, body]
        assert not [head for head, _ in heads if b"transfer-encoding" in head]


def test_pools_of_a_fixed_size_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of vCons at once, which may change; never less than the libraries' own size."""
    monkeypatch.setattr(http_client, "_at_once", connections())
    for at_once, size in ((400, 400), (1, 10), (64, 64)):
        fit(at_once)
        assert connections() == size


def test_a_client_that_is_dropped_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its event loop may have ended before it was closed."""
    seen: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", seen.append)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async def use() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        url = "http://{}:{}/".format(*server.sockets[0].getsockname())
        assert (await AiohttpClient(timeout=None).get(url)).status_code == 204
        server.close()

    asyncio.run(use())
    gc.collect()
    assert [each for each in seen if "aiohttp" in repr(each)] == []
