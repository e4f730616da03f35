"""`httpx` over the connections of `aiohttp`.

The pool of `httpx` looks at all its connections for each request: with 400 of them a request costs
30 ms of CPU time, with `aiohttp`, which keeps them by host, 0.2 ms (docs/decisions, page 17). Only
the connections are exchanged: redirects, cookies, proxies of the environment, certificates,
decompression and the classes of errors are those of `httpx`.

The number of connections has no limit here. A worker's vCons bound it: each has one request at a
time for each receiver, and one that waited for a connection would only take longer.
"""

import io
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import inf
from typing import Any, NamedTuple

import aiohttp
from yarl import URL

from lib.web.client_library import httpx
from lib.web.http_retry import VendorError

IDLE_SECONDS = 4.0
"""Seconds until an idle connection is closed: less than the 5 after which many servers do it."""
LONGEST_LINE = 65_536
"""Bytes of one line or header of an answer; more is a protocol error."""
MOST_BYTES = 64 * 1024 * 1024
"""Bytes of an answer that is read at once, unpacked. What reads in pieces has its own bound."""
LARGE = 2**20
"""Bytes of a body above which it is written in pieces, between which other tasks run."""

_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=None)
_ERRORS: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
    (aiohttp.ServerTimeoutError, httpx.ReadTimeout),
    (aiohttp.ClientHttpProxyError, httpx.ProxyError),
    (aiohttp.ClientConnectorError, httpx.ConnectError),
    (aiohttp.ServerDisconnectedError, httpx.RemoteProtocolError),
    (aiohttp.ClientPayloadError, httpx.RemoteProtocolError),
    (aiohttp.ClientResponseError, httpx.RemoteProtocolError),  # an answer that is not HTTP
    (aiohttp.ClientConnectionResetError, httpx.WriteError),
    (aiohttp.ClientConnectionError, httpx.ReadError),
    (aiohttp.InvalidURL, httpx.UnsupportedProtocol),
    (aiohttp.NonHttpUrlClientError, httpx.UnsupportedProtocol),
    (ValueError, httpx.LocalProtocolError),  # such as a line break in a header
)
"""The first that fits counts."""

type Headers = Mapping[str, str] | list[tuple[str, str]]


class Answer(NamedTuple):
    """The answer to one request; its content is as large as the caller allows, and unpacked."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300


class TooLargeError(VendorError):
    """An answer has more bytes than the caller allows."""


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Connections, kept by host, of one event loop."""

    def __init__(
        self, context: Callable[[], ssl.SSLContext], proxy: httpx.Proxy | None = None
    ) -> None:
        self._context = context
        self._proxy: dict[str, Any] = _proxy_arguments(proxy) if proxy else {}
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the answer's content is read from the connection when it is needed."""
        answer = await self._send(
            request.method,
            plain(request.url),
            _headers(request),
            _content(request),
            timeout=_timeout(request.extensions.get("timeout") or {}),
            server_hostname=request.extensions.get("sni_hostname"),
        )
        return _response(answer)

    async def exchange(
        self, method: str, url: URL, headers: Headers, content: bytes, most: int
    ) -> Answer:
        """Send bytes and read the answer, without the classes of `httpx`; no time limit.

        Raises:
            httpx.HTTPError: as `handle_async_request` and reading its answer.
            TooLargeError: the answer has more than `most` bytes, unpacked.
        """
        answer = await self._send(method, url, headers, _in_form(content), timeout=_NO_TIMEOUT)
        try:
            packed = "content-encoding" in answer.headers
            parts = _response(answer).aiter_bytes() if packed else _parts(answer)
            return Answer(answer.status, answer.headers, await joined(parts, most))
        finally:
            answer.release()

    async def _send(
        self,
        method: str,
        url: URL,
        headers: Headers,
        data: bytes | io.BytesIO | AsyncIterable[bytes] | None,
        **more: Any,
    ) -> aiohttp.ClientResponse:
        with _errors_of_httpx():
            return await self._opened().request(
                method,
                url,
                headers=headers,
                data=data,
                allow_redirects=False,
                ssl=self._context() if url.scheme == "https" else True,
                **self._proxy,
                **more,
            )

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("accept", "accept-encoding", "content-type", "user-agent"),
                max_line_size=LONGEST_LINE,
                max_field_size=LONGEST_LINE,
            )
        return self._session

    def __del__(self) -> None:
        """End the connections of a client whose event loop has ended before it was closed."""
        if self._session is not None and self._session.connector is not None:
            connector = self._session.connector
            self._session.detach()
            connector._close()

    async def aclose(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _response(answer: aiohttp.ClientResponse) -> "_Response":
    return _Response(
        answer.status,
        headers=without_odd_cookies(answer.raw_headers),
        stream=_Content(answer),
        extensions={
            "http_version": b"HTTP/1.1",
            "reason_phrase": (answer.reason or "").encode("ascii", "replace"),
        },
    )


def without_odd_cookies(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of an answer without cookies that are not in ASCII.

    `httpx` would keep them, and fail at each further request to that server.
    """
    return [each for each in headers if each[1].isascii() or each[0].lower() != b"set-cookie"]


async def _parts(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The content as it was sent."""
    with _errors_of_httpx():
        async for some in answer.content.iter_any():
            yield some


async def joined(parts: AsyncIterator[bytes], most: int) -> bytes:
    """The parts in one. Raises `TooLargeError` if they have more than `most` bytes."""
    found = bytearray()
    async for some in parts:
        found += some
        if len(found) > most:
            raise TooLargeError(f"the answer has more than {most} bytes")
    return bytes(found)


class _Response(httpx.Response):
    """An answer of a bounded size, unless its content is taken in pieces."""

    _most: float = inf

    async def aread(self) -> bytes:
        """The whole content. Raises `VendorError` if it has more than `MOST_BYTES`."""
        self._most = MOST_BYTES
        return await super().aread()

    async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """The content as it comes, decompressed."""
        size = 0
        async for some in super().aiter_bytes(chunk_size):
            size += len(some)
            if size > self._most:
                raise VendorError(f"the answer has more than {MOST_BYTES} bytes")
            yield some


class _Content(httpx.AsyncByteStream):
    """The content of an answer, as it was sent."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _parts(self._answer)

    async def aclose(self) -> None:
        """Keep the connection if all was read; otherwise close it."""
        self._answer.release()


def plain(url: httpx.URL) -> URL:
    """A URL without the user and password, which `httpx` has put into a header."""
    without = url.copy_with(userinfo=b"") if url.userinfo else url
    return URL(str(without), encoded=True)


def _headers(request: httpx.Request) -> list[tuple[str, str]]:
    """The headers; `aiohttp` sets `transfer-encoding` itself and refuses a second one."""
    encoding = request.headers.encoding
    named = ((name.decode(encoding), value.decode(encoding)) for name, value in request.headers.raw)
    return [(name, value) for name, value in named if name.lower() != "transfer-encoding"]


def _content(request: httpx.Request) -> bytes | io.BytesIO | AsyncIterable[bytes] | None:
    """The body; a large one in a form that is written in pieces: `aiohttp` warns of others."""
    try:
        return _in_form(request.content)
    except httpx.RequestNotRead:
        assert isinstance(request.stream, AsyncIterable)
        return request.stream


def _in_form(content: bytes) -> bytes | io.BytesIO | None:
    return io.BytesIO(content) if len(content) > LARGE else content or None


def _timeout(given: dict[str, float | None]) -> aiohttp.ClientTimeout:
    connect, read = given.get("connect"), given.get("read")
    if connect is None and read is None:
        return _NO_TIMEOUT
    # `connect` counts the lookup of the name and the answer of a proxy, too
    return aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=connect, sock_read=read)


def _proxy_arguments(proxy: httpx.Proxy) -> dict[str, Any]:
    url = URL(str(proxy.url), encoded=True)
    if proxy.auth:
        url = url.with_user(proxy.auth[0]).with_password(proxy.auth[1])
    return {"proxy": url, "proxy_headers": dict(proxy.headers) or None}


@contextmanager
def _errors_of_httpx() -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, ValueError) as error:
        kind = next((ours for theirs, ours in _ERRORS if isinstance(error, theirs)), None)
        # "from None": `http_retry` names the innermost error, which is that of `httpx` so far
        raise (kind or httpx.NetworkError)(str(error) or type(error).__name__) from None
