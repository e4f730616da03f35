"""How plugins deal with servers that are slow, full or away: one way for all of them.

An attempt that met a broken connection, a time-out, 429, 5xx or half an answer is repeated, after
doubling pauses or the longer one that `Retry-After` asks for. Nobody waits beyond the time that the
chain has left: then the attempt's own failure is told, and not that time was up. The vendors' own
libraries are told to repeat nothing, and their errors are read by the marks they have in common.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from pydantic import Field
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.stop import stop_base
from tenacity.wait import wait_exponential_jitter

from lib.options import GuestOptions
from pipeline.runs.call_scope import remaining

log = logging.getLogger(__name__)

LONGEST_PAUSE = 60.0
"""Seconds. A server that asks for more is not waited for: the attempt fails instead."""

LAST_MOMENT = 0.25
"""Seconds of the chain's time in which no attempt is begun, so that what went wrong is told."""

RETRIES = (
    "+ how often an attempt is repeated that met a broken connection, a time-out, 429 or 5xx; a "
    "`Retry-After` of up to 60 seconds is honoured, one of more fails at once"
)
BACKOFF = (
    "+ seconds before the first repeat; each further pause is twice as long, up to 60; a repeat "
    "that the chain's timeout leaves no time for is not made"
)
"""What is to be said of two of the options."""

_PASSING = frozenset(
    {
        *("NetworkError", "TimeoutException", "RemoteProtocolError"),  # httpx, and what is like it
        *("APIConnectionError", "ConnectionError", "ConnectionTimeout", "TimeoutError"),
        *("JSONDecodeError", "SerializationError"),  # the rest of the answer was lost
    }
)
"""Classes of errors that may pass. By name: each vendor's library has its own of the same."""

_SECONDS = re.compile(r"[0-9]{1,18}(?:\.[0-9]{0,18})?", re.ASCII)
_HTTP = frozenset({"HTTPError", "APIError", "ApiError"})


class VendorError(RuntimeError):
    """A server did not do what it was asked; the text names it, and never a key or a URL."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to try: seconds for one attempt, how many repeats, seconds before the first one."""

    timeout: float
    retries: int
    backoff: float


class PatientOptions(GuestOptions):
    """Options of a plugin that calls a server."""

    timeout: float = Field(120, gt=0, description="+ seconds for one attempt")
    retries: int = Field(5, ge=0, description=RETRIES)
    backoff: float = Field(2, ge=0, description=BACKOFF)

    @property
    def patience(self) -> Patience:
        """The same in the form that `insist` takes."""
        return Patience(self.timeout, self.retries, self.backoff)


async def insist[T](attempt: Callable[[], Awaitable[T]], patience: Patience, server: str) -> T:
    """What an attempt gives, repeated as long as a repeat may fare better.

    Raises:
        Exception: what the last attempt raised; `TimeoutError` when it took too long.
    """
    attempts = AsyncRetrying(
        retry=retry_if_exception(may_pass),
        wait=_Pauses(patience.backoff),
        stop=_OutOfTime() | stop_after_attempt(patience.retries + 1),
        before_sleep=lambda state: _note(server, state),
        reraise=True,
    )
    return await attempts(_within, attempt, patience.timeout)


async def ask[T](attempt: Callable[[], Awaitable[T]], patience: Patience, server: str) -> T:
    """The same for a server that everybody knows by name, such as a vendor's.

    Raises:
        VendorError: when it does not answer, or answers with an error, in the end.
    """
    try:
        return await insist(attempt, patience, server)
    except Exception as error:
        if not any(_is_a(_PASSING | _HTTP, each) for each in _behind(error)):
            raise  # not the server's doing
        # "from None": vendors' errors show headers, and URLs that may have keys in them.
        raise VendorError(f"{server} {complaint(error)}{_words(error)}") from None


def may_pass(error: BaseException) -> bool:
    """Whether a repeat may fare better."""
    status = status_of(error)
    if status is None:
        return any(_is_a(_PASSING, each) for each in _behind(error))
    passing = status == 429 or status >= 500 or 200 <= status < 300  # 2xx: it cannot be read
    return passing and asked_pause(error) <= LONGEST_PAUSE


def asked_pause(error: BaseException | None, now: datetime | None = None) -> float:
    """The seconds that a server's answer asks to wait, in either form of `Retry-After`; or 0.

    A date is by the server's clock, which its answer tells as `Date`; `now` where it does not.
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
    """The status of the answer that an error is about, whichever library's error it is."""
    holders = (error, getattr(error, "response", None))
    found = (getattr(holder, "status_code", None) for holder in holders)
    return next((status for status in found if isinstance(status, int)), None)


def complaint(error: BaseException | None) -> str:
    """What a server did wrong, in few words without its address."""
    if (status := status_of(error)) is not None:
        return f"answered {status}"
    causes = [each for each in _behind(error) if _is_a(_PASSING, each)]
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


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it comes from: libraries wrap those of the connection in their own."""
    while error is not None:
        yield error
        yield from (each for each in getattr(error, "errors", ()) if isinstance(each, Exception))
        error = error.__cause__


def _is_a(names: frozenset[str], error: BaseException) -> bool:
    return any(each.__name__ in names for each in type(error).__mro__)


def _words(error: BaseException) -> str:
    """What the server says itself; nothing where that may be about the key."""
    if status_of(error) in (None, 401, 403):
        return ""
    body: Any = getattr(error, "body", None)
    while isinstance(body, Mapping):
        body = next((body[name] for name in ("message", "err_msg", "error") if name in body), None)
    text = " ".join(body.split()) if isinstance(body, str) else ""
    return f": {text[:200]}" if text else ""


class _Pauses(wait_exponential_jitter):
    """Doubling pauses, and what the server asks for where that is longer."""

    def __init__(self, first: float) -> None:
        super().__init__(multiplier=first, max=LONGEST_PAUSE, jitter=first)

    def __call__(self, retry_state: RetryCallState) -> float:
        return max(super().__call__(retry_state), asked_pause(_failure(retry_state)))


class _OutOfTime(stop_base):
    """Stops where the pause would outlast the time that is left."""

    def __call__(self, retry_state: RetryCallState) -> bool:
        return retry_state.upcoming_sleep + LAST_MOMENT >= remaining()


def _failure(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _note(server: str, state: RetryCallState) -> None:
    error = f"{server}: {complaint(_failure(state))}"
    log.warning("request repeated", extra={"error": error})
