"""Cookies of the shared HTTP client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from lib.web.http_client import close, shared_client
from tests.integration.lib.test_http_client import serving


@pytest.fixture(autouse=True)
async def _closed() -> AsyncIterator[None]:
    yield
    await close()


@pytest.mark.parametrize("send", ["exchange", "request"])
async def test_a_cookie_that_no_request_can_send_is_left_out(send: str) -> None:
    """Other requests to that server go on without it."""
    async with serving() as server:
        cookies = "\r\nset-cookie: a=\u00e4\r\nset-cookie: b=c\r\n\r\n".encode()
        server.answer = server.answer.replace(b"\r\n\r\n", cookies)
        client: Any = shared_client()
        for _ in range(2):
            got = await getattr(client, send)("POST", server.url, headers={}, content=b"{}")
            assert got.content == b"ok"
        assert b"\r\ncookie: b=c\r\n" in server.requests[1].lower()
