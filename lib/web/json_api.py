"""Requests to vendors' HTTP APIs that answer with JSON."""

import json
from collections.abc import Container, Mapping
from typing import Annotated, Any, NamedTuple

import orjson
from pydantic import AfterValidator

from core.observability.storable_text import storable
from lib.web.aiohttp_transport import TooLargeError
from lib.web.client import refused
from lib.web.client_library import httpx
from lib.web.http_client import following_client, shared_client
from lib.web.http_retry import HttpRetry, VendorError, call_vendor

MOST_BYTES = 16 * 1024 * 1024
"""Bytes of one answer."""
_ABOUT_BODY = frozenset({"content-type", "content-encoding"})
_ANYWHERE = httpx.URL("http://localhost/")


class JsonAnswer(NamedTuple):
    """The status and the parsed body of an answer; the body is None if it is empty."""

    status: int
    body: Any


async def call_json(
    method: str,
    url: str,
    *,
    server: str,
    retry: HttpRetry,
    headers: Mapping[str, str] | None = None,
    accept: Container[int] = (),
    most_bytes: int = MOST_BYTES,
    follow_redirects: bool = False,
    **content: Any,
) -> JsonAnswer:
    """The answer to one request, which is repeated after transient errors.

    `content` are `httpx`'s arguments for it, such as `json`, `files` or `params`. `server` names
    the other side in errors. Statuses in `accept` are returned, as 2xx are; their body is None if
    it is not JSON, as the texts of proxies are.

    Raises:
        VendorError: if the last attempt got no answer, another status, too many bytes, or no JSON.
    """

    async def attempt() -> JsonAnswer:
        return await send_json(
            method,
            url,
            server=server,
            headers=headers,
            accept=accept,
            most_bytes=most_bytes,
            follow_redirects=follow_redirects,
            **content,
        )

    try:
        return await call_vendor(attempt, retry, server)
    except httpx.InvalidURL:
        raise VendorError(f"{server}: its URL in the options is invalid") from None
    except UnicodeEncodeError as error:  # its `repr` has the header, which may be the key
        if error.encoding != "ascii":
            raise
        text = f"{server}: its key in the options has characters that no HTTP header may have"
        raise VendorError(text) from None


async def send_json(
    method: str,
    url: str,
    *,
    server: str,
    headers: Mapping[str, str] | None = None,
    accept: Container[int] = (),
    most_bytes: int = MOST_BYTES,
    follow_redirects: bool = False,
    **content: Any,
) -> JsonAnswer:
    """One attempt of `call_json`, with the errors of `httpx`; those of an answer have its `body`.

    Raises:
        httpx.HTTPError: if there is no answer, or with a status that is not accepted.
        VendorError: if the answer is too large.
        json.JSONDecodeError: if it is not JSON.
    """
    sent = await _sent(method, url, content)
    client = following_client() if follow_redirects else shared_client()
    try:
        answer = await client.exchange(
            method,
            sent.url,
            headers={**sent.headers, **(headers or {})},
            content=sent.content,
            most_bytes=most_bytes,
        )
    except TooLargeError:
        raise VendorError(f"{server} answered with more than {most_bytes} bytes") from None
    if answer.is_success:
        return JsonAnswer(answer.status, _parsed(answer.content) if answer.content else None)
    if answer.status in accept:
        return JsonAnswer(answer.status, _lenient(answer.content))
    error = refused(method, sent.url, answer)
    error.body = _lenient(answer.content)  # type: ignore[attr-defined]
    raise error


class _Sent(NamedTuple):
    """A request as bytes."""

    url: str
    headers: dict[str, str]
    content: bytes


async def _sent(method: str, url: str, content: dict[str, Any]) -> _Sent:
    """The request that `httpx` makes of its arguments; JSON and bytes without its classes."""
    if content.keys() <= {"content"} and isinstance(content.get("content") or b"", bytes):
        return _Sent(url, {}, content.get("content") or b"")
    if content.keys() == {"json"}:
        text = json.dumps(
            content["json"], ensure_ascii=False, separators=(",", ":"), allow_nan=False
        )
        return _Sent(url, {"content-type": "application/json"}, text.encode())
    # the parsing of a URL takes as long as that of a form with a file
    request = httpx.Request(method, url if "params" in content else _ANYWHERE, **content)
    body = await request.aread()
    headers = {name: value for name, value in request.headers.items() if name in _ABOUT_BODY}
    return _Sent(str(request.url) if "params" in content else url, headers, body)


def _parsed(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:  # also half a surrogate pair, which models send
        try:
            return storable(json.loads(text))
        except (ValueError, RecursionError):  # too deep, or a number of thousands of digits
            raise error from None


def _lenient(text: bytes) -> Any:
    try:
        return _parsed(text)
    except ValueError:
        return None


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
