"""Repeating what only an outage of Redis has stopped, and telling of that outage once."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Self

import redis

from core.errors import UnavailableError, UnusableKeyError

# What the driver raises, in the service's own terms.

AWAY = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError)
"""Redis cannot be reached."""
NO_JSON = "Redis has no JSON: use Redis 8, or the JSON module of Redis 7 or Valkey"
# The driver takes the first word off those answers for which it has a class.
_NOT_NOW = (
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.TryAgainError,
)
_NOT_NOW_WORDS = ("MISCONF ", "BUSY ", "NOREPLICAS ", "UNBLOCKED ")


# RedisJSON's own words are the second.
_WRONG_TYPE_WORDS = ("WRONGTYPE ", "Existing key has wrong Redis type")


class WrongTypeError(UnusableKeyError, redis.exceptions.ResponseError):
    """A key of another type stands where a command or a script needs one of ours."""

    key = ""
    """The key's name; empty when Redis did not give it."""


def named(error: WrongTypeError, words: tuple[object, ...]) -> WrongTypeError:
    """The error of a plain command, with its key; scripts name theirs themselves."""
    if error.key or len(words) < 2 or words[0] == "EVALSHA":
        return error
    command, key = words[:2]
    return _wrong_type(str(key), f"{key!s} has another type than {command} needs")


def _wrong_type(key: str, text: str) -> WrongTypeError:
    error = WrongTypeError(text[:200])
    error.key = key
    return error


def stops_leases(error: Exception) -> bool:
    """Whether no worker can say that it is alive meanwhile; without memory it still can."""
    return isinstance(translated(error), UnavailableError) and not lacks_memory(error)


def lacks_memory(error: BaseException | None) -> bool:
    """Whether Redis answered that it has no memory left."""
    return isinstance(error, redis.exceptions.OutOfMemoryError)


def translated(error: Exception) -> Exception:
    """`UnavailableError` for what another try may cure, else the error itself."""
    if isinstance(error, AWAY):
        return UnavailableError(f"Redis cannot be reached: {type(error).__name__}")
    if isinstance(error, _NOT_NOW) or str(error).startswith(_NOT_NOW_WORDS):
        return UnavailableError(f"Redis takes no commands just now: {error}"[:200])
    if _lacks_json(str(error).casefold()):
        return UnavailableError(NO_JSON)
    if str(error).startswith(_WRONG_TYPE_WORDS):
        text = str(error).removeprefix("WRONGTYPE ")
        return _wrong_type(text.rpartition(" is no ")[0], text)
    return error


def _lacks_json(text: str) -> bool:
    """Whether a command or a script of ours was refused for this; all others know every Redis."""
    alone = "unknown command" in text and "json." in text
    return alone or ("unknown" in text and "command called from script" in text)


# Whether our own Redis failed during one call of a plugin.
#
# Redis has failed, too, where one of this service's own keys had another type (`keys.own_type`).
#
# A plugin may hide that Redis was away or had no memory: it raises another error, or returns None
# as if the vCon was to be halted. What counts is what the call's own commands met, in whichever
# task or thread it gave them. Errors of another Redis, which a plugin has a client of its own for,
# do not count.


@dataclass(slots=True)
class Failures:
    """What the commands of one call met; a call within another one counts for both."""

    around: Self | None = None
    count: int = 0
    """Commands that found Redis away or without memory, or a key of ours with another type."""
    no_memory: int = 0
    """Those of them that found it without memory."""
    unusable: str = ""
    """The last key of ours that had another type."""


_present: ContextVar[Failures | None] = ContextVar("redis_failures", default=None)


@contextmanager
def counted() -> Iterator[Failures]:
    """Count the failures of what is called inside."""
    failures = Failures(_present.get())
    token = _present.set(failures)
    try:
        yield failures
    finally:
        _present.reset(token)


@contextmanager
def uncounted() -> Iterator[None]:
    """Leave failures to the caller, who may do without the commands that are given inside."""
    token = _present.set(None)
    try:
        yield
    finally:
        _present.reset(token)


def note(*, no_memory: bool = False, unusable: str = "") -> None:
    """A command given here and now has failed."""
    failures = _present.get()
    while failures is not None:
        failures.count += 1
        failures.no_memory += no_memory
        failures.unusable = unusable or failures.unusable
        failures = failures.around


log = logging.getLogger(__name__)

_PAUSE_MIN, _PAUSE_MAX = 0.1, 5.0


class Patience:
    """One process's waiting for Redis: one log line when it goes, one when it is back."""

    def __init__(self) -> None:
        """Redis counts as there until an operation says otherwise."""
        self._away = False

    async def insist[T](self, operation: Callable[[], Awaitable[T]]) -> T:
        """Repeat the operation for as long as it raises UnavailableError; what it returns."""
        pause = _PAUSE_MIN
        while True:
            try:
                result = await operation()
            except UnavailableError as error:
                self._note_away(str(error))
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 -- spreads reconnects, guards nothing
                pause = min(pause * 2, _PAUSE_MAX)
            else:
                self._note_back()
                return result

    def _note_away(self, why: str) -> None:
        if not self._away:
            log.warning("Redis is away; waiting for it", extra={"error": why})
        self._away = True

    def _note_back(self) -> None:
        if self._away:
            log.warning("Redis is back")
        self._away = False
