"""/docs, /redoc and /openapi.json: open to all, and complete without another host."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from typing import cast
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from core.interfaces import Pipeline
from http_api.application import Application
from http_api.handlers.documentation import OWN, PACKAGED
from tests.unit.support.settings_of_the_api import settings_with

PAGES = ["/docs", "/redoc", "/api/docs", "/api/redoc"]
ELSEWHERE = re.compile(
    rb"""src\s*[:=]\s*\\?["'](?:https?:)?//|url\(\s*\\?["']?(?:https?:)?//|@import\s"""
    rb"""|(?:fetch|importScripts|Worker)\(\s*["'](?:https?:)?//"""
)
"""What a script or a style sheet would load from another host."""


class References(HTMLParser):
    """What a page loads, and whether it has scripts of its own."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline: list[str] = []
        self._element = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._element = tag
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "spec-url")]
        self.inline += [name for name, _ in attrs if name.startswith("on") or name == "style"]

    def handle_data(self, data: str) -> None:
        if self._element in ("script", "style") and data.strip():
            self.inline.append(data)


def policy_of(answer: httpx.Response) -> dict[str, list[str]]:
    """The directives of the Content-Security-Policy."""
    parts = [part.split() for part in answer.headers["content-security-policy"].split(";")]
    return {name: sources for name, *sources in parts}


@asynccontextmanager
async def stranger_of(prefix: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a token of an API with this prefix; the pages need no pipeline."""
    settings = settings_with(conserver_api_token="a-token", api_root_path=prefix)
    application = Application(cast(Pipeline, None), settings, ["a-token"])
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        yield client


@pytest.fixture
async def stranger() -> AsyncIterator[httpx.AsyncClient]:
    """A client without a token, of an API with the default prefix."""
    async with stranger_of("/api") as client:
        yield client


async def check_references(client: httpx.AsyncClient, path: str) -> None:
    """Each reference of the page and of its files is relative, and is answered."""
    answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    references = References(answer.text)
    assert references.inline == []
    assert len(references.found) >= 4
    for each in references.found:
        assert not urlsplit(each).scheme
        assert not urlsplit(each).netloc
        loaded = await client.get(urljoin(path, each))
        assert loaded.status_code == 200, each
        assert loaded.headers["x-content-type-options"] == "nosniff"
        assert not ELSEWHERE.search(loaded.content), each


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_loads_from_this_host_only(stranger: httpx.AsyncClient, path: str) -> None:
    """Without a token, in both forms."""
    await check_references(stranger, path)


@pytest.mark.parametrize("prefix", ["", "/a/b"])
async def test_pages_work_below_any_prefix(prefix: str) -> None:
    """Also behind a proxy that takes the prefix off, where the API sees the bare path."""
    async with stranger_of(prefix) as client:
        for path in {"/docs", f"{prefix}/docs", f"{prefix}/redoc"}:
            await check_references(client, path)
        made = (await client.get(f"{prefix}/openapi.json")).json()
    assert made["servers"] == [{"url": prefix or "/"}]


@pytest.mark.parametrize("path", PAGES)
async def test_the_policy_allows_this_host_only(stranger: httpx.AsyncClient, path: str) -> None:
    """No script inside the page, no other host, no frame, also for the files of the pages."""
    policy = policy_of(await stranger.get(path))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == ["'none'"]
    assert policy["script-src"] == policy["connect-src"] == ["'self'"]
    allowed = {"'self'", "'none'", "'unsafe-inline'", "data:", "blob:"}
    assert {source for sources in policy.values() for source in sources} <= allowed
    lenient = {name for name, sources in policy.items() if "'unsafe-inline'" in sources}
    assert lenient == ({"style-src"} if path.endswith("redoc") else set())


async def test_every_file_is_there_and_is_kept(stranger: httpx.AsyncClient) -> None:
    """With an entity tag, by which the next request is answered 304."""
    for name in (*OWN, *PACKAGED):
        answer = await stranger.get(f"/api/docs/{name}")
        assert answer.status_code == 200
        assert "max-age" in answer.headers["cache-control"]
        again = {"if-none-match": f'"other", W/{answer.headers["etag"]}'}
        kept = await stranger.get(f"/docs/{name}", headers=again)
        assert (kept.status_code, kept.content) == (304, b"")
        assert kept.headers["etag"] == answer.headers["etag"]
        changed = await stranger.get(f"/docs/{name}", headers={"if-none-match": '"other"'})
        assert changed.content == answer.content


@pytest.mark.parametrize("name", ["nope.js", "..%2fredoc", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", ""])
async def test_nothing_else_is_given_out(stranger: httpx.AsyncClient, name: str) -> None:
    """Only the files of the list."""
    answer = await stranger.get(f"/docs/{name}")
    assert answer.status_code in (404, 307)


async def test_the_document_is_open(stranger: httpx.AsyncClient) -> None:
    """The same in both forms, and not sent again to a client that has it."""
    answer = await stranger.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert (await stranger.get("/api/openapi.json")).content == answer.content
    known = {"if-none-match": answer.headers["etag"]}
    assert (await stranger.get("/openapi.json", headers=known)).status_code == 304
