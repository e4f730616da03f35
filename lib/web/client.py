"""The client of outgoing HTTP: `httpx` over the connections of `aiohttp`.

`exchange` is for requests whose body and answer are bytes, as nearly all are. It makes no
`Request` and no `Response` of `httpx`, which need more CPU time than `aiohttp`. Proxies, cookies,
users in URLs, certificates and classes of errors are the same.
"""

import base64
import ssl
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any, NamedTuple

from yarl import URL

from lib.web.aiohttp_transport import (
    MOST_BYTES,
    AiohttpTransport,
    Answer,
    joined,
    plain,
    without_odd_cookies,
)
from lib.web.client_library import httpx
from lib.web.redirects import WithoutSecrets

WAYS = 1024
"""URLs whose parsed form is kept: those of receivers and vendors stand in the configuration."""
_ABOUT = frozenset({"content-encoding", "transfer-encoding", "content-length"})
"""Headers about content, which is read already."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class _Way(NamedTuple):
    """How a URL is reached; `transport` is None for a proxy that only `httpx` can use."""

    url: URL
    transport: AiohttpTransport | None
    headers: dict[str, str]


class AiohttpClient(WithoutSecrets, httpx.AsyncClient):
    """A client as configured by its arguments and the environment, over `AiohttpTransport`.

    A proxy that is not plain HTTP (SOCKS, or HTTPS) is used through `httpx`'s own connections.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._usual = dict(self.headers)
        self._way = lru_cache(WAYS)(self._new_way)

    async def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes = b"",
        most_bytes: int = MOST_BYTES,
    ) -> Answer:
        """Send a request and read its answer, without a time limit.

        Redirects are followed if those of `send` are; another server gets no secret headers.

        Raises:
            httpx.HTTPError, httpx.InvalidURL: as `send`, but not for a status.
            UnicodeEncodeError: a header is not in ASCII.
            TooLargeError: the answer has more than `most_bytes`, unpacked.
        """
        way = self._way(url)
        sent = {**self._usual, **_in_ascii(headers), **way.headers, **self._cookies_for(url)}
        if way.transport is None:
            request = self.build_request(method, url, headers=sent, content=content)
            return await self._exchanged(request, most_bytes)
        answer = await way.transport.exchange(method, way.url, sent, content, most_bytes)
        if "set-cookie" in answer.headers:
            self.cookies.extract_cookies(_response(method, url, answer))
        if self.follow_redirects and answer.status in _REDIRECTS and "location" in answer.headers:
            request = self.build_request(method, url, headers=sent, content=content)
            further = self._build_redirect_request(request, _response(method, url, answer))
            return await self._exchanged(further, most_bytes)
        return answer

    def _new_way(self, url: str) -> _Way:
        parsed = httpx.URL(url)
        transport = self._transport_for_url(parsed)
        ours = transport if isinstance(transport, AiohttpTransport) else None
        user = base64.b64encode(f"{parsed.username}:{parsed.password}".encode()).decode()
        headers = {"authorization": f"Basic {user}"} if parsed.userinfo else {}
        return _Way(plain(parsed), ours, headers)

    def _cookies_for(self, url: str) -> dict[str, str]:
        if not len(self.cookies.jar):
            return {}
        request = httpx.Request("GET", url)
        self.cookies.set_cookie_header(request)
        return {"cookie": request.headers["cookie"]} if "cookie" in request.headers else {}

    async def _exchanged(self, request: httpx.Request, most: int) -> Answer:
        """`exchange` through `httpx`."""
        response = await self.send(request, stream=True)
        try:
            content = await joined(response.aiter_bytes(), most)
        finally:
            await response.aclose()
        return Answer(response.status_code, response.headers, content)

    def _init_transport(self, *args: Any, **options: Any) -> httpx.AsyncBaseTransport:
        return options.get("transport") or AiohttpTransport(_contexts(options))

    def _init_proxy_transport(
        self, proxy: httpx.Proxy, *args: Any, **options: Any
    ) -> httpx.AsyncBaseTransport:
        if proxy.url.scheme == "http":
            return AiohttpTransport(_contexts(options), proxy)
        return super()._init_proxy_transport(proxy, *args, **options)


def refused(method: str, url: str, answer: Answer) -> httpx.HTTPStatusError:
    """The error of a status that the caller does not accept."""
    response = _response(method, url, answer)
    return httpx.HTTPStatusError("refused", request=response.request, response=response)


def _response(method: str, url: str, answer: Answer) -> httpx.Response:
    given = [
        (name.encode(errors="surrogateescape"), value.encode(errors="surrogateescape"))
        for name, value in answer.headers.items()
        if name.lower() not in _ABOUT
    ]
    request = httpx.Request(method, url)
    return httpx.Response(answer.status, headers=without_odd_cookies(given), request=request)


def _in_ascii(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers with names in lower case.

    Raises:
        UnicodeEncodeError: one is not in ASCII, which `aiohttp` would send.
    """
    for name, value in headers.items():
        f"{name}{value}".encode("ascii")
    return {name.lower(): value for name, value in headers.items()}


def _contexts(options: dict[str, Any]) -> Callable[[], ssl.SSLContext]:
    """Makes the TLS context at the first request: it takes 10 ms, and many never need it."""
    given = {name: options[name] for name in ("verify", "cert", "trust_env") if name in options}
    return cache(lambda: httpx.create_ssl_context(**given))
