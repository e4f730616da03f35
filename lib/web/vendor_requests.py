"""POST requests to vendors that have no library here, with their JSON answer."""

from typing import Annotated, Any

import orjson
from pydantic import AfterValidator

from lib.web.client_library import httpx
from lib.web.http_client import shared_client
from lib.web.http_retry import HttpRetry, VendorError, call_vendor

MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""The bytes of an answer that are read; a larger one is refused."""


class ApiError(Exception):
    """An answer other than 2xx, with the members by which `lib.web.http_retry` judges errors."""

    def __init__(self, answer: httpx.Response, content: bytes) -> None:
        super().__init__(f"answered {answer.status_code}")
        self.status_code = answer.status_code
        self.headers = answer.headers
        try:
            self.body = orjson.loads(content)
        except orjson.JSONDecodeError:
            self.body = None


async def post_for_json(server: str, url: str, retry: HttpRetry, **request: Any) -> Any:
    """The parsed answer of a POST; `request` goes to `httpx`. Redirects are not followed.

    Raises:
        VendorError: if the last attempt got no answer, an error, no JSON, or too many bytes.
    """

    async def attempt() -> Any:
        async with shared_client().stream("POST", url, **request) as answer:
            content = await _content(answer, server)
            if not answer.is_success:
                raise ApiError(answer, content)
        return orjson.loads(content)

    return await call_vendor(attempt, retry, server)


async def _content(answer: httpx.Response, server: str) -> bytes:
    content = bytearray()
    async for some in answer.aiter_bytes():
        content += some
        if len(content) > MAX_ANSWER_BYTES:
            raise VendorError(f"{server} sends more than {MAX_ANSWER_BYTES} bytes")
    return bytes(content)


def _checked(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise ValueError("it must be a URL that begins with http:// or https://") from None
    if url and (parsed.scheme not in ("http", "https") or not parsed.host):
        raise ValueError("it must be a URL that begins with http:// or https://")
    return url


HttpUrl = Annotated[str, AfterValidator(_checked)]
"""A URL of the configuration for HTTP requests, unchanged; empty is allowed."""
