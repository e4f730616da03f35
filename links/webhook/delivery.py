import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_exponential_jitter

log = logging.getLogger(__name__)

LONGEST_PAUSE = 60.0
"""Seconds. A receiver that asks for more is not waited for: the run fails instead."""

_PASSING = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError, TimeoutError)

# One client for an event loop, so connections are kept; a process that forks later has its own.
_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = WeakKeyDictionary()


class DeliveryError(Exception):
    """A receiver did not accept what was sent."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to try: seconds for one attempt, how many repeats, seconds before the first one."""

    timeout: float
    retries: int
    backoff: float


async def deliver(url: str, body: bytes, headers: Mapping[str, str], patience: Patience) -> None:
    """POST until the receiver answers 2xx.

    Repeated are 429, 5xx and broken connections. `Retry-After` is honoured up to 60 seconds.

    Raises:
        DeliveryError: naming the host, but not the URL, which may hold credentials.
    """
    attempts = AsyncRetrying(
        retry=retry_if_exception(may_pass),
        wait=_Pauses(patience.backoff),
        stop=stop_after_attempt(patience.retries + 1),
        before_sleep=lambda state: _note(url, state),
        reraise=True,
    )
    try:
        await attempts(_post, url, body, headers, patience.timeout)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        # "from None": the message of the cause has the URL in it.
        raise DeliveryError(f"{_host(url)} {_complaint(error)}") from None


async def close() -> None:
    """Close the connections that this event loop keeps."""
    if client := _clients.pop(asyncio.get_running_loop(), None):
        await client.aclose()


async def _post(url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> None:
    loop = asyncio.get_running_loop()
    if loop not in _clients:
        _clients[loop] = httpx.AsyncClient(timeout=None)  # noqa: S113 -- the next line is stricter
    async with asyncio.timeout(timeout):
        answer = await _clients[loop].post(url, content=body, headers=headers)
    answer.raise_for_status()


def may_pass(error: BaseException) -> bool:
    """Whether a repeat may fare better."""
    if not isinstance(error, httpx.HTTPStatusError):
        return isinstance(error, _PASSING)
    status = error.response.status_code
    return (status == 429 or status >= 500) and asked_pause(error) <= LONGEST_PAUSE


def asked_pause(error: BaseException | None, now: datetime | None = None) -> float:
    """The seconds that a receiver's answer asks to wait, in either form of `Retry-After`; or 0."""
    if not isinstance(error, httpx.HTTPStatusError):
        return 0.0
    text = error.response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())


class _Pauses(wait_exponential_jitter):
    """Doubling pauses, and what the receiver asks for where that is longer."""

    def __init__(self, first: float) -> None:
        super().__init__(multiplier=first, max=LONGEST_PAUSE, jitter=first)

    def __call__(self, retry_state: RetryCallState) -> float:
        return max(super().__call__(retry_state), asked_pause(_failure(retry_state)))


def _failure(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _note(url: str, state: RetryCallState) -> None:
    cause = _complaint(_failure(state))
    log.warning("webhook is repeated", extra={"host": _host(url), "cause": cause})


def _complaint(error: BaseException | None) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"answered {error.response.status_code}"
    return f"could not be reached: {type(error).__name__}"


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "the receiver"
    except ValueError:
        return "the receiver"
