"""A redirect to another server gets no header that may have a secret, whichever client sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from lib.ai.openai_api import OpenAIApi
from lib.openai_client import get_async_openai_client, get_openai_client
from lib.web.client import AiohttpClient
from lib.web.http_client import close, following_client
from lib.web.http_retry import HttpRetry
from lib.web.json_api import call_json
from links.groq_whisper import AsyncGroq
from tests.canaries import canary
from tests.integration.lib.test_http_client import Server, serving

KEY = canary("redirected-key-481516")
RETRY = HttpRetry(timeout=60, retries=0, backoff=0)
AZURE = {"AZURE_OPENAI_API_KEY": KEY, "AZURE_OPENAI_API_VERSION": "2024-10-21"}
HEADERS = (
    *("authorization", "api-key", "x-api-key", "X-Goog-Api-Key", "Ocp-Apim-Subscription-Key"),
    *("cookie", "proxy-authorization", "openai-organization", "x-anything-else", "referer"),
)


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    """No client of a test is left."""
    yield
    await close()


async def by_exchange(url: str) -> None:
    """Bytes, as nearly all plugins send them."""
    headers = {**dict.fromkeys(HEADERS, KEY), "accept": "text/x-kept"}
    await following_client().exchange("POST", url, headers=headers, content=b"{}")


async def by_httpx(url: str) -> None:
    """A request of `httpx`, as tracers and reports of usage send it."""
    headers = {**dict.fromkeys(HEADERS, KEY), "accept": "text/x-kept"}
    await following_client().post(url, headers=headers, content=b"{}")


async def by_user_in_the_url(url: str) -> None:
    """The user in a URL becomes a header."""
    with_user = url.replace("http://", f"http://user:{KEY}@")
    await following_client().exchange("POST", with_user, headers={"accept": "text/x-kept"})


async def by_json(url: str) -> None:
    """JSON, as vendors' links send it."""
    headers = dict.fromkeys(HEADERS, KEY)
    await call_json(
        "POST", url, server="it", retry=RETRY, headers=headers, follow_redirects=True, json={}
    )


async def by_azure(url: str) -> None:
    """The requests of our own to Azure."""
    api = OpenAIApi.of({**AZURE, "AZURE_OPENAI_ENDPOINT": url})
    await api.ask("chat/completions", "m", server="it", retry=RETRY, json={})


async def by_openai(url: str) -> None:
    """OpenAI's library, which third parties use."""
    client = get_async_openai_client({**AZURE, "AZURE_OPENAI_ENDPOINT": url})
    await client.chat.completions.create(model="m", messages=[])


async def by_openai_in_a_thread(url: str) -> None:
    """The same with a client of the library's own."""
    with get_openai_client({**AZURE, "AZURE_OPENAI_ENDPOINT": url}) as client:
        await asyncio.to_thread(client.chat.completions.create, model="m", messages=[])


async def by_groq(url: str) -> None:
    """Groq's library."""
    client: Any = AsyncGroq(
        api_key=KEY, base_url=url, max_retries=0, http_client=following_client()
    )
    await client.models.list()


CLIENTS = (
    *(by_exchange, by_httpx, by_user_in_the_url, by_json),
    *(by_azure, by_openai, by_openai_in_a_thread, by_groq),
)


@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("send", CLIENTS)
async def test_another_server_gets_no_secret(send: Callable[[str], Any], status: int) -> None:
    """The first server has it; the other one gets what the request is, without a key."""
    async with serving() as server, serving() as other:
        server.answer = moved(status, f"{other.url}/new")
        other.answer = json(b"{}")
        await send(server.url)
        assert secret_in(server)
        assert other.requests
        assert not secret_in(other)
        assert (b"text/x-kept" in other.requests[0]) == (b"text/x-kept" in server.requests[0])


@pytest.mark.parametrize("send", [by_exchange, by_httpx, by_json])
async def test_the_same_server_gets_them_again(send: Callable[[str], Any]) -> None:
    """A path of its own is no other server; it may be reached by its whole URL."""
    async with serving() as server:
        server.answers = [moved(307, f"{server.url}/new"), json(b"{}")]
        await send(server.url)
        assert [each.split(b" ")[1] for each in server.requests] == [b"/", b"/new"]
        assert all(
            KEY.encode() in each.split(b"\r\napi-key: ")[1].split(b"\r\n")[0]
            for each in server.requests
        )


PLACES = (
    ("http://one.example/a", "https://one.example/b", True),  # TLS of the same host
    ("http://one.example:80/a", "http://one.example/b", True),
    ("http://one.example:8080/a", "https://one.example/b", False),
    ("https://one.example/a", "http://one.example/b", False),
    ("https://one.example/a", "https://one.example:8443/b", False),
    ("https://one.example/a", "https://sub.one.example/b", False),
    ("https://one.example/a", "https://one.example.evil/b", False),
    ("https://one.example/a", "https://one.example@evil.example/b", False),
    ("https://one.example/a", "//evil.example/b", False),
    ("https://one.example/a", "/b", True),
)


@pytest.mark.parametrize(("first", "then", "is_same"), PLACES)
async def test_which_server_is_the_same(first: str, then: str, is_same: bool) -> None:
    """By scheme, host and port."""
    client = AiohttpClient()
    request = client.build_request("GET", first, headers={"api-key": KEY})
    answer = httpx.Response(302, headers={"location": then}, request=request)
    further = client._build_redirect_request(request, answer)
    assert ("api-key" in further.headers) is is_same
    assert further.headers["host"] == further.url.netloc.decode()
    await client.aclose()


def moved(status: int, place: str) -> bytes:
    """A redirect."""
    return f"HTTP/1.1 {status} Moved\r\nlocation: {place}\r\ncontent-length: 0\r\n\r\n".encode()


def json(body: bytes) -> bytes:
    """An answer with JSON."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


def secret_in(server: Server) -> bool:
    """Whether a server got the key, as it is or in a user's header."""
    text = b"".join(server.requests)
    return KEY.encode() in text or b"basic " in text.lower()
