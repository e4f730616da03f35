"""Errors of Redis: translation, a count for each plugin call, and retry after an outage."""

import asyncio
import logging
import random
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Self

import redis
from redis.sentinel import MasterNotFoundError

from core.concurrency.backoff import Backoff
from core.errors import UnavailableError, UnusableKeyError
from core.setting_groups.addresses import read_address

log = logging.getLogger(__name__)

AWAY = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError)
"""The driver's errors that mean that Redis cannot be reached."""
NOT_REACHED = "Redis cannot be reached"
NO_JSON = "Redis has no JSON: use Redis 8, or the JSON module of Redis 7 or Valkey"
_NOT_TRUSTED = "its certificate is not trusted"
NO_REDIS = "what answers at REDIS_URL is no Redis: check the host and the port"
# the driver has classes for these error replies, and removes their first word
_NOT_NOW = (
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.TryAgainError,
)
_NOT_NOW_WORDS = ("MISCONF ", "BUSY ", "NOREPLICAS ", "UNBLOCKED ")
_WRONG_TYPE_WORDS = ("WRONGTYPE ", "Existing key has wrong Redis type")  # Redis, RedisJSON
OUTAGE_BACKOFF = Backoff(first=0.1, cap=5.0, jitter=random.random)
"""Waits between attempts during an outage, and between blocking commands that Redis refuses."""

WAKE_SECONDS = 1.0
"""A server that refuses each write is not asked more often for its being left."""


class WrongTypeError(UnusableKeyError, redis.exceptions.ResponseError):
    """A key has another type than a command or a script of this service needs."""

    key = ""
    """The key's name; empty when Redis did not give it."""


def named(error: WrongTypeError, words: tuple[object, ...]) -> WrongTypeError:
    """The error with the key of its command; scripts name the key in their error replies."""
    if error.key or len(words) < 2 or words[0] == "EVALSHA":
        return error
    command, key = words[:2]
    return _wrong_type(str(key), f"{key!s} has another type than {command} needs")


def _wrong_type(key: str, text: str) -> WrongTypeError:
    error = WrongTypeError(text[:200])
    error.key = key
    return error


def stops_leases(error: Exception) -> bool:
    """Whether leases cannot be renewed in this state; without memory they can."""
    return isinstance(translated(error), UnavailableError) and not lacks_memory(error)


def lacks_memory(error: BaseException | None) -> bool:
    """Whether this is Redis' error reply for no memory left."""
    return isinstance(error, redis.exceptions.OutOfMemoryError)


def translated(error: Exception) -> Exception:
    """`UnavailableError` for what a later try may cure, `WrongTypeError`, or the error itself."""
    if isinstance(error, redis.exceptions.InvalidResponse):
        return UnavailableError(NO_REDIS)
    if isinstance(error, AWAY):
        return UnavailableError(f"{NOT_REACHED}: {_problem_of_tls(error) or type(error).__name__}")
    if isinstance(error, _NOT_NOW) or str(error).startswith(_NOT_NOW_WORDS):
        return UnavailableError(f"Redis takes no commands just now: {error}"[:200])
    if _lacks_json(str(error).casefold()):
        return UnavailableError(NO_JSON)
    if str(error).startswith(_WRONG_TYPE_WORDS):
        text = str(error).removeprefix("WRONGTYPE ")
        return _wrong_type(text.rpartition(" is no ")[0], text)
    return error


def _problem_of_tls(error: BaseException | None) -> str:
    """Why a certificate is not trusted, or what else TLS says; the driver hides it in a context."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{_NOT_TRUSTED} ({error.verify_message})"
    return f"TLS: {error.reason}" if isinstance(error, ssl.SSLError) else ""


def with_remedy(error: UnavailableError, url: str) -> UnavailableError:
    """The error with the server's address and what to do, if Redis cannot be reached or used."""
    text = str(error)
    if not text.startswith((NOT_REACHED, NO_REDIS, NO_JSON)):
        return error
    remedy = ""
    if text.endswith(redis.exceptions.AuthenticationError.__name__):
        remedy = "; wrong or missing password in REDIS_URL"
    elif _NOT_TRUSTED in text:
        remedy = "; name the authority's certificate in REDIS_CA_FILE"
    elif text.endswith(MasterNotFoundError.__name__):
        remedy = (
            "; no sentinel names a primary that runs: check the sentinels' addresses, the "
            "primary's name, and REDIS_SENTINEL_PASSWORD"
        )
    elif text.startswith(NOT_REACHED):
        remedy = "; check REDIS_URL: does Redis run there, and does it let this host in?"
    return UnavailableError(f"REDIS_URL, {server_of(url)}: {text}{remedy}")


def server_of(url: str) -> str:
    """Host and port, a socket's path, or the primary and its sentinels; never a password."""
    try:
        return str(read_address(url))
    except ValueError:
        return "an address that cannot be read"


def _lacks_json(text: str) -> bool:
    """Whether a command was unknown to Redis: of those used here only JSON's ones may be."""
    alone = "unknown command" in text and "json." in text
    return alone or ("unknown" in text and "command called from script" in text)


@dataclass(slots=True)
class Failures:
    """Failed commands of one plugin call on this service's Redis; a nested call counts for both.

    A plugin may hide that Redis was unavailable: it raises another error, or returns None, which
    would halt the vCon. So the commands are counted where they fail, in every task and thread of
    the call. Commands on another Redis, through a client of the plugin's own, do not count.
    """

    around: Self | None = None
    count: int = 0
    """Commands that found Redis unavailable, without memory, or a key of the service unusable."""
    no_memory: int = 0
    """Those of them that found it without memory."""
    unusable: str = ""
    """The last key of the service (`keys.own_type`) that had another type."""


_present: ContextVar[Failures | None] = ContextVar("redis_failures", default=None)


@contextmanager
def counted() -> Iterator[Failures]:
    """Count the failed commands of the block, in its context."""
    failures = Failures(_present.get())
    token = _present.set(failures)
    try:
        yield failures
    finally:
        _present.reset(token)


@contextmanager
def uncounted() -> Iterator[None]:
    """Do not count failed commands of the block: the caller can do without them."""
    token = _present.set(None)
    try:
        yield
    finally:
        _present.reset(token)


def note(*, no_memory: bool = False, unusable: str = "") -> None:
    """Count a failed command of the current context's plugin call."""
    failures = _present.get()
    while failures is not None:
        failures.count += 1
        failures.no_memory += no_memory
        failures.unusable = unusable or failures.unusable
        failures = failures.around


class OutageRetry:
    """Repeats operations during an outage of Redis; logs its begin and its end once a process."""

    def __init__(self, backoff: Backoff = OUTAGE_BACKOFF) -> None:
        """Redis counts as available until an operation fails."""
        self._backoff = backoff
        self._away = False
        self._woken = asyncio.Event()
        self._woken_at = -WAKE_SECONDS

    async def insist[T](self, operation: Callable[[], Awaitable[T]]) -> T:
        """Repeat an operation while it raises `UnavailableError`; returns its result."""
        attempt = 0
        while True:
            try:
                result = await operation()
            except UnavailableError as error:
                self._note_away(str(error))
                await self._wait(self._backoff.wait(attempt))
                attempt += 1
            else:
                self._note_back()
                return result

    def wake(self) -> None:
        """Try again at once, called on the event loop; once in `WAKE_SECONDS`."""
        now = asyncio.get_running_loop().time()
        if now - self._woken_at >= WAKE_SECONDS:
            self._woken_at = now
            self._woken.set()
            self._woken = asyncio.Event()

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()

    def _note_away(self, error: str) -> None:
        if not self._away:
            log.warning("Redis unavailable; waiting", extra={"error": error})
        self._away = True

    def _note_back(self) -> None:
        if self._away:
            log.warning("Redis available again")
        self._away = False
