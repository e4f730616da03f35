"""Errors of the driver as errors of `core.errors`.

Statement parameters and the password are left out.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from core.errors import ConflictError, InvalidError, PatchcordError, UnavailableError

type _Fault = Callable[[str], PatchcordError]

# By SQLSTATE: the whole code has precedence over its class (the first two characters).
_FAULTS: dict[str, _Fault] = {
    "08": UnavailableError,  # connection lost
    "22": InvalidError,  # a value that the column cannot hold
    "23": ConflictError,  # a constraint
    "23514": UnavailableError,  # no partition for the row, or one that is being migrated
    "3D": UnavailableError,  # no such database (yet)
    "40": UnavailableError,  # deadlock, serialization failure: a repetition may succeed
    "42501": UnavailableError,  # a right that the operator has to grant
    "42703": UnavailableError,  # no such column: not migrated yet
    "42883": UnavailableError,  # no such function: not migrated yet
    "42P01": UnavailableError,  # no such table: not migrated yet
    "42P10": UnavailableError,  # no such unique index: not migrated yet
    "53": UnavailableError,  # out of disk, memory or connections
    "54": InvalidError,  # a text too long for an index
    "55": UnavailableError,  # locked, or the database accepts no connections
    "57": UnavailableError,  # shutting down, cancelled
    "58": UnavailableError,  # the server's own disk
}

_NOT_MIGRATED = ("42703", "42883", "42P01", "42P10")


@contextmanager
def psycopg_errors_translated() -> Iterator[None]:
    """Raise errors of the driver as errors of `core.errors`, without the original."""
    try:
        yield
    except psycopg.Error as error:
        raise fault(error) from None


def fault(error: BaseException | None, *, is_lost: bool = False) -> PatchcordError:
    """The error of `core.errors` for one of the driver; `is_lost`: with the connection."""
    state = getattr(error, "sqlstate", None)
    remedy = "; is the database migrated?" if state in _NOT_MIGRATED else ""
    return _kind(error, state, is_lost=is_lost)(f"Postgres: {_reason(error)}{remedy}")


def _kind(error: BaseException | None, state: str | None, *, is_lost: bool) -> _Fault:
    if state is not None:
        return _FAULTS.get(state) or _FAULTS.get(state[:2]) or PatchcordError
    if isinstance(error, psycopg.DataError):  # psycopg did not send the value
        return InvalidError
    # Without a state libpq failed: connection refused, unknown host, wrong password, timeout.
    gave_up = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return UnavailableError if gave_up or is_lost else PatchcordError


def _reason(error: BaseException | None) -> str:
    """The first line of the server's message; further lines may repeat values."""
    diagnosis = getattr(error, "diag", None)
    message = getattr(diagnosis, "message_primary", None) or str(error)
    return message.strip().partition("\n")[0]
