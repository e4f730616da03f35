"""Errors of the driver and of SQLAlchemy as errors of `core.errors`.

Statement parameters and the password are left out.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

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
def driver_errors_translated() -> Iterator[None]:
    """Raise errors of SQLAlchemy as errors of `core.errors`.

    The original is left out of tracebacks, because its details repeat whole rows.
    """
    try:
        yield
    except SQLAlchemyError as error:
        raise translated(error) from None


@contextmanager
def raw_errors_translated() -> Iterator[None]:
    """The same for a connection of the driver, of which SQLAlchemy does not wrap the errors."""
    with driver_errors_translated():
        try:
            yield
        except psycopg.Error as error:
            raise DBAPIError(None, None, error) from None


def translated(error: SQLAlchemyError) -> PatchcordError:
    """The error of `core.errors` for one of SQLAlchemy; `PatchcordError` for unknown ones."""
    if isinstance(error, PoolTimeoutError):
        return UnavailableError("Postgres: every connection of the pool is busy")
    if not isinstance(error, DBAPIError):
        return PatchcordError(f"Postgres: {type(error).__name__}")
    state = getattr(error.orig, "sqlstate", None)
    remedy = "; is the database migrated?" if state in _NOT_MIGRATED else ""
    return _fault(error)(f"Postgres: {_reason(error)}{remedy}")


def _fault(error: DBAPIError) -> _Fault:
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return _FAULTS.get(state) or _FAULTS.get(state[:2]) or PatchcordError
    if isinstance(error.orig, psycopg.DataError):  # psycopg did not send the value
        return InvalidError
    # Without a state libpq failed: connection refused, unknown host, wrong password, timeout.
    gave_up = isinstance(error.orig, psycopg.OperationalError | psycopg.InterfaceError)
    return UnavailableError if gave_up or error.connection_invalidated else PatchcordError


def _reason(error: DBAPIError) -> str:
    """The first line of the server's message; further lines may repeat values."""
    diagnosis = getattr(error.orig, "diag", None)
    message = getattr(diagnosis, "message_primary", None) or str(error.orig)
    return message.strip().partition("\n")[0]
