"""What the end of a call tells of the destination. Pure functions on errors.

The libraries of vendors are not imported: their errors are recognised by the class names and the
attributes that they share.
"""

import errno
from collections.abc import Iterator
from typing import Literal

from core.errors import ConflictError, UnavailableError

type Outcome = Literal["ok", "failed", "neither"]
"""`neither`: the call has told nothing of the destination."""

LONGEST_TEXT = 200
"""Characters of an error that is kept beside a destination."""
MOST_CAUSES = 20
PEER_FAILED = "peer_failed"
"""An attribute of an exception by which a plugin says itself what it means."""
_NO_ANSWER = frozenset(
    {
        "ConnectionError",  # builtin, requests, elasticsearch
        "TimeoutError",  # builtin, also a step's time limit
        "Timeout",  # requests
        "NetworkError",  # httpx, and libraries with the same names
        "TimeoutException",
        "RemoteProtocolError",
        "APIConnectionError",
        "ConnectionTimeout",
        "ClientConnectionError",  # aiohttp
        "HTTPClientError",  # botocore
        "AutoReconnect",  # pymongo
        "NetworkTimeout",
        "ServerSelectionTimeoutError",
        "OperationalError",  # psycopg and other drivers of databases
        "gaierror",
        "SMTPServerDisconnected",
        "SMTPConnectError",
        "SSHException",
        "MilvusUnavailableException",
    }
)
_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN)


def outcome_of(error: BaseException, *, redis_failed: bool = False) -> Outcome:
    """What a failed call tells: whether the peer failed, answered, or neither is known.

    `redis_failed`: this service's Redis was away during the call.
    """
    if redis_failed or isinstance(error, ConflictError | UnavailableError):
        return "neither"
    if not isinstance(error, Exception):
        return "neither"
    for each in _causes(error):
        said = getattr(each, PEER_FAILED, None)
        if isinstance(said, bool):
            return "failed" if said else "ok"
        if (status := status_of(each)) is not None:
            return "failed" if status == 429 or status >= 500 else "ok"
    return "failed" if any(_got_no_answer(each) for each in _causes(error)) else "neither"


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an error of any HTTP library carries, or None."""
    response = getattr(error, "response", None)
    holders = (error, response, getattr(error, "meta", None))
    found = [
        getattr(holder, name, None) for holder in holders for name in ("status_code", "status")
    ]
    if isinstance(response, dict):  # botocore
        about = response.get("ResponseMetadata")
        found.append(about.get("HTTPStatusCode") if isinstance(about, dict) else None)
    whole = (each for each in found if isinstance(each, int) and 100 <= each < 600)
    return next(whole, None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and its explicit causes: libraries wrap connection errors in their own."""
    for _ in range(MOST_CAUSES):
        if error is None:
            return
        yield error
        error = error.__cause__


def _got_no_answer(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in _UNREACHABLE:
        return True
    return any(each.__name__ in _NO_ANSWER for each in type(error).__mro__)
