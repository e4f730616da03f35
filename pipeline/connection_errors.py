"""What the driver raises, in the service's own terms."""

import redis

from core.errors import UnavailableError, UnusableKeyError

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
