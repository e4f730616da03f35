"""Asking Airtable: which answers are failures, and which requests are worth another try.

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
REPEATABLE = ("GET", "PATCH")
"""What may be asked again although it may have been done: the outcome is the same."""


class AirtableError(Exception):
    """Airtable has refused a request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{message} (HTTP {status})")
        self.status = status


async def ask(client: "AsyncClient", method: str, path: str, **content: Any) -> Any:
    """The JSON of an answer.

    What was refused for its haste is tried again when Airtable says, and so is what can be repeated
    when the server is in trouble. Raises AirtableError, httpx.HTTPError.
    """
    for tried in range(1, TRIES + 1):
        response = await client.request(method, path, **content)
        if tried == TRIES or not _again(method, response.status_code):
            break
        await asyncio.sleep(_pause(response.headers.get("Retry-After"), tried))
    if not response.is_success:
        raise AirtableError(response.status_code, _message(response))
    return response.json()


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
    """What Airtable says: `{"error": {"type", "message"}}`, or `{"error": "NOT_FOUND"}`."""
    try:
        error = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        return response.reason_phrase or "refused"
    if isinstance(error, dict):
        return ": ".join(str(error[key]) for key in ("type", "message") if error.get(key))
    return str(error)
