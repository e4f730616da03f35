"""HTTP requests to Airtable: which responses are failures, and which requests are repeated.

A response is counted while it is received, uncompressed, and abandoned at its limit.

Source: Airtable's Web API reference, "Errors" and "Rate limits": five requests a second and base.
"""

import asyncio
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from httpx import AsyncClient, Response

TRIES = 5
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
SERVER_IN_TROUBLE = (500, 502, 503, 504)
RETRY_AFTER = "Retry-After"
PLAIN = {"Accept-Encoding": "identity"}
"""Compressed bytes cannot be counted before they are unpacked."""
REPEATABLE = ("GET", "PATCH")
"""Methods that may be repeated after the server may have carried them out: idempotent here."""


class AirtableError(Exception):
    """Airtable has refused a request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{message} (HTTP {status})")
        self.status = status


class AnswerTooLarge(ValueError):
    """Airtable has sent more than the connection's `max_bytes`."""

    def __init__(self, method: str, most: int) -> None:
        told = f"Airtable's answer has more than {most} bytes, above max_bytes"
        super().__init__(told if method == "GET" else f"{told}; the change was made")


async def ask(client: "AsyncClient", method: str, path: str, most: int, **content: Any) -> Any:
    """The JSON of an answer of at most so many bytes.

    A rate-limited request is repeated when Airtable says; after a server error only requests that
    can be repeated are. Raises AirtableError, AnswerTooLarge, httpx.HTTPError.
    """
    for tried in range(1, TRIES + 1):
        response = await _answer(client, method, path, most, content)
        if tried == TRIES or not _again(method, response.status_code):
            break
        await asyncio.sleep(_pause(response.headers.get(RETRY_AFTER), tried))
    if not response.is_success:
        raise AirtableError(response.status_code, _message(response))
    return response.json()


async def _answer(
    client: "AsyncClient", method: str, path: str, most: int, content: dict[str, Any]
) -> "Response":
    """One response, read whole; of an error only as much as the limit allows."""
    from httpx import Response

    async with client.stream(method, path, headers=PLAIN, **content) as stream:
        is_plain = stream.headers.get("Content-Encoding", "identity") == "identity"
        if stream.is_success and not is_plain:
            raise ValueError("Airtable's answer is compressed, which was not asked for")
        body = await _body(stream, most) if is_plain else b""
        if stream.is_success and len(body) > most:
            raise AnswerTooLarge(method, most)
        pause = {name: stream.headers[name] for name in (RETRY_AFTER,) if name in stream.headers}
        return Response(stream.status_code, headers=pause, content=body)


async def _body(stream: "Response", most: int) -> bytes:
    """The received bytes, at most one more than the limit."""
    body = bytearray()
    async for chunk in stream.aiter_raw():
        body += chunk[: most - len(body) + 1]
        if len(body) > most:
            break
    return bytes(body)


def _again(method: str, status: int) -> bool:
    return status == 429 or (status in SERVER_IN_TROUBLE and method in REPEATABLE)


def _pause(retry_after: str | None, tried: int) -> float:
    """Seconds until the next try: as the header says, or twice as long as the last."""
    wanted: float = FIRST_PAUSE * 2 ** (tried - 1)
    if retry_after is not None:
        try:
            wanted = float(retry_after)
        except ValueError:
            wanted = _seconds_until(retry_after, wanted)
    return min(max(wanted, 0.0), LONGEST_PAUSE)


def _seconds_until(date: str, otherwise: float) -> float:
    try:
        moment: datetime = parsedate_to_datetime(date)
        return (moment - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return otherwise


def _message(response: "Response") -> str:
    """Airtable's message: `{"error": {"type", "message"}}`, or `{"error": "NOT_FOUND"}`."""
    try:
        error = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        return response.reason_phrase or "refused"
    if isinstance(error, dict):
        return ": ".join(str(error[key]) for key in ("type", "message") if error.get(key))
    return str(error)
