"""Clients of the console that are no browsers: they keep cookies and send forms."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from typing import Any, Self

import httpx

from flowlang.connections.tls import web_trust
from tests.integration.http_api.http_scene import Served

OPERATOR = "a-password-of-operators"
READER = "a-password-of-readers-1"
_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]{64})"')


class Operator(httpx.AsyncClient):
    """A client with the cookie of a session."""

    @classmethod
    def of(cls, served: Served, **options: Any) -> Self:
        """Without a session yet."""
        return cls(base_url=served.url, timeout=60, verify=web_trust(), **options)

    async def sign_in(
        self, secret: str = OPERATOR, name: str = "anna", after: str = "/console/audit"
    ) -> httpx.Response:
        """The answer to the form."""
        fields = {"name": name, "secret": secret, "next": after}
        return await self.post("/console/sign-in", data=fields)

    async def text(self, path: str, status: int = 200) -> str:
        """The text of a page without its mark-up."""
        answer = await self.get(path)
        assert answer.status_code == status, answer.text
        return text_of(answer.text)

    async def token(self) -> str:
        """The token that forms of this session have."""
        found = _TOKEN.search((await self.get("/console/sign-out")).text)
        assert found
        return found[1]

    async def submit(self, path: str, **fields: str) -> httpx.Response:
        """The answer to a form of this session."""
        return await self.post(path, data={"form_token": await self.token()} | fields)

    async def change(self, operation: str, **fields: str) -> httpx.Response:
        """The answer to a change that is confirmed."""
        given = {"confirmed": "yes", "reason": "a test"} | fields
        return await self.submit(f"/console/change/{operation}", **given)


class _Text(HTMLParser):
    """Collects what is no mark-up."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)


def text_of(html: str) -> str:
    """The text of a page, each run of white space as one blank."""
    parser = _Text()
    parser.feed(html)
    return " ".join(unescape("".join(parser.parts)).split())
