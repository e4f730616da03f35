"""Retries for the HTTP requests of plugins.

An attempt that ended with a broken connection, a time-out, 429, 5xx or an incomplete answer is
repeated, after doubling pauses, or after the longer pause that `Retry-After` requests. An attempt
or a pause that would outlast the chain's timeout is not begun: the last attempt's own error is
raised instead of the chain's `TimeoutError`. The vendors' libraries are configured to repeat
nothing themselves; their errors are recognised by the class names and attributes they share.

`core.concurrency.backoff` does not fit here: its jitter shortens a pause, and `backoff` may be 0.
"""

import asyncio
import logging
import random
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from pydantic import Field

from lib.options import PluginOptions
from pipeline.runs.call_scope import remaining, repeating

log = logging.getLogger(__name__)

LONGEST_PAUSE = 60.0
"""Seconds. If `Retry-After` requests more, the request fails without another attempt."""

LAST_MOMENT = 0.25
"""Seconds before the chain's timeout in which no attempt begins, so that its error is raised."""

RETRIES = (
    "+ how often an attempt is repeated that met a broken connection, a time-out, 429 or 5xx; a "
    "`Retry-After` of up to 60 seconds is honoured, one of more fails at once"
)
BACKOFF = (
    "+ seconds before the first repeat; each further pause is twice as long, up to 60; a repeat "
    "that the chain's timeout leaves no time for is not made"
)
"""The descriptions of two options, shared by all plugins with retries."""

_TRANSIENT = frozenset(
    {
        "NetworkError",  # httpx, and libraries with the same names
        "TimeoutException",
        "RemoteProtocolError",
        "APIConnectionError",
        "ConnectionError",
        "ConnectionTimeout",
        "TimeoutError",
        "JSONDecodeError",  # the answer was cut off
        "SerializationError",
    }
)
"""Names of transient errors' classes; by name, since each vendor's library defines its own."""

_SECONDS = re.compile(r"[0-9]{1,18}(?:\.[0-9]{0,18})?", re.ASCII)
_HTTP = frozenset({"HTTPError", "APIError", "ApiError"})


class VendorError(RuntimeError):
    """A request to a server failed. The text names the server, never a key or a URL.

    `peer_failed`: it did not answer, or with 429 or 5xx; a destination's breaker counts these.
    """

    def __init__(self, text: str, *, peer_failed: bool = False) -> None:
        super().__init__(text)
        self.peer_failed = peer_failed


@dataclass(frozen=True, slots=True)
class HttpRetry:
    """Seconds for one attempt, the number of repeats, and the seconds before the first repeat."""

    timeout: float
    retries: int
    backoff: float


class HttpRetryOptions(PluginOptions):
    """Options of a plugin that sends HTTP requests."""

    timeout: float = Field(120, gt=0, description="+ seconds for one attempt")
    retries: int = Field(5, ge=0, description=RETRIES)
    backoff: float = Field(2, ge=0, description=BACKOFF)

    @property
    def http_retry(self) -> HttpRetry:
        """These options as `call_with_retry` takes them."""
        return HttpRetry(self.timeout, self.retries, self.backoff)


PatientOptions = HttpRetryOptions
"""The former name, for plugins that import it."""


async def call_with_retry[T](
    attempt: Callable[[], Awaitable[T]], retry: HttpRetry, server: str
) -> T:
    """The result of `attempt`, which is repeated after transient errors.

    Raises:
        Exception: the last attempt's error; `TimeoutError` if it took longer than `retry.timeout`.
    """
    failures = 0
    while True:
        try:
            return await _within(attempt, retry.timeout)
        except Exception as error:
            failures += 1
            pause = max(_pause(retry.backoff, failures), retry_after(error))
            too_late = pause + LAST_MOMENT >= remaining()
            if failures > retry.retries or too_late or not is_transient(error):
                raise
            text = f"{server} {failure_text(error)}"
            log.warning("request repeated", extra={"error": text})
        await asyncio.sleep(pause)
        if (allowed := repeating.get()) is not None:
            await allowed()  # counts in the rate of the step's destination, as the first did


async def call_vendor[T](attempt: Callable[[], Awaitable[T]], retry: HttpRetry, server: str) -> T:
    """`call_with_retry` with one error class for all vendors' libraries; `server` is its name.

    Raises:
        VendorError: if the last attempt got no answer or an error.
    """
    try:
        return await call_with_retry(attempt, retry, server)
    except Exception as error:
        if (refusal := _refusal_of(error)) is not None:
            raise refusal from None
        if not any(_is_a(_TRANSIENT | _HTTP, each) for each in _chain_of(error)):
            raise  # an error of the plugin, not of the server
        # "from None": vendors' errors contain headers, and URLs with keys.
        text = f"{server} {failure_text(error)}{_server_message(error)}"
        raise VendorError(text, peer_failed=peer_failed(error)) from None


def peer_failed(error: BaseException) -> bool:
    """Whether the server did not answer, or with 429 or 5xx, also with a long `Retry-After`.

    A destination's breaker counts these.
    """
    status = status_of(error)
    if status is not None:
        return status == 429 or status >= 500
    return any(_is_a(_TRANSIENT, each) for each in _chain_of(error))


def is_transient(error: BaseException) -> bool:
    """Whether a repeat may succeed: no answer, 429, 5xx, or a 2xx that cannot be parsed."""
    if _refusal_of(error) is not None:
        return False
    status = status_of(error)
    if status is None:
        return any(_is_a(_TRANSIENT, each) for each in _chain_of(error))
    transient = status == 429 or status >= 500 or 200 <= status < 300
    return transient and retry_after(error) <= LONGEST_PAUSE


def retry_after(error: BaseException | None, now: datetime | None = None) -> float:
    """Seconds of the answer's `Retry-After`, given as a number or a date; 0 without the header.

    A date is compared with the answer's `Date`, since the server's clock may differ; without that
    header, with `now`.
    """
    text = _header(error, "retry-after").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    moment = _moment(text)
    answered = _moment(_header(error, "date")) or now or datetime.now(UTC)
    return max(0.0, (moment - answered).total_seconds()) if moment else 0.0


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def status_of(error: BaseException | None) -> int | None:
    """The HTTP status that an error of any HTTP library carries, or None."""
    holders = (error, getattr(error, "response", None))
    found = (getattr(holder, "status_code", None) for holder in holders)
    return next((status for status in found if isinstance(status, int)), None)


def failure_text(error: BaseException | None) -> str:
    """A short description of the failure, without the server's address."""
    if (status := status_of(error)) is not None:
        return f"answered {status}"
    causes = [each for each in _chain_of(error) if _is_a(_TRANSIENT, each)]
    return f"could not be reached: {type(causes[-1] if causes else error).__name__}"


async def _within[T](attempt: Callable[[], Awaitable[T]], seconds: float) -> T:
    left = remaining()
    async with asyncio.timeout(min(seconds, left - min(LAST_MOMENT, left / 10))):
        return await attempt()


def _header(error: BaseException | None, wanted: str) -> str:
    places = (getattr(error, "response", None), getattr(error, "meta", None), error)
    for place in places:
        headers = getattr(place, "headers", None)
        if isinstance(headers, Mapping):
            named = {str(name).lower(): str(value) for name, value in headers.items()}
            return named.get(wanted, "")
    return ""


def _chain_of(error: BaseException | None) -> Iterator[BaseException]:
    """An error and its causes: libraries wrap connection errors in their own."""
    while error is not None:
        yield error
        yield from (each for each in getattr(error, "errors", ()) if isinstance(each, Exception))
        error = error.__cause__


def _refusal_of(error: BaseException) -> VendorError | None:
    """The error by which an answer was refused; a vendor's library may have wrapped it.

    One with a status is a vendor's refusal, which is repeated by its status.
    """
    found = (each for each in _chain_of(error) if isinstance(each, VendorError))
    return next((each for each in found if status_of(each) is None), None)


def _is_a(names: frozenset[str], error: BaseException) -> bool:
    return any(each.__name__ in names for each in type(error).__mro__)


def _server_message(error: BaseException) -> str:
    """The message in the answer's body; empty for 401 and 403, which may repeat the key."""
    if status_of(error) in (None, 401, 403):
        return ""
    body: Any = getattr(error, "body", None)
    while isinstance(body, Mapping):
        body = next((body[name] for name in ("message", "err_msg", "error") if name in body), None)
    text = " ".join(body.split()) if isinstance(body, str) else ""
    return f": {text[:200]}" if text else ""


def _pause(first: float, failures: int) -> float:
    """Seconds, twice as many after each failure, and up to `first` at random."""
    pause = first * 2.0 ** min(failures - 1, 30) + random.uniform(0, first)  # noqa: S311
    return min(pause, LONGEST_PAUSE)
