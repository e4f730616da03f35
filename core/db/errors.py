"""What Postgres' errors mean to us: whose fault it was, and a sentence without secrets."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from core.errors import ConflictError, InvalidError, PatchcordError, UnavailableError

type _Fault = Callable[[str], PatchcordError]

# By SQLSTATE: the whole code is looked for first, then its class (the first two characters).
_FAULTS: dict[str, _Fault] = {
    "08": UnavailableError,  # connection lost
    "22": InvalidError,  # a value that the column cannot hold
    "23": ConflictError,  # a constraint
    "3D": UnavailableError,  # no such database (yet)
    "40": UnavailableError,  # deadlock, serialization: the same again may work
    "42501": UnavailableError,  # a right that the operator has to grant
    "42703": UnavailableError,  # no such column: not migrated yet
    "42P01": UnavailableError,  # no such table: not migrated yet
    "53": UnavailableError,  # out of disk, memory or connections
    "54": InvalidError,  # a text too long for an index
    "55": UnavailableError,  # locked, or the database accepts no connections
    "57": UnavailableError,  # shutting down, cancelled
    "58": UnavailableError,  # the server's own disk
}


@contextmanager
def driver_errors_translated() -> Iterator[None]:
    """Whatever SQLAlchemy raises inside leaves as one of `core.errors`.

    The original stays out of tracebacks: its details repeat whole rows.
    """
    try:
        yield
    except SQLAlchemyError as error:
        raise translated(error) from None


def translated(error: SQLAlchemyError) -> PatchcordError:
    """Our error for one of SQLAlchemy's; unknown ones become a plain `PatchcordError`."""
    if isinstance(error, PoolTimeoutError):
        return UnavailableError("Postgres: every connection of the pool is busy")
    if not isinstance(error, DBAPIError):
        return PatchcordError(f"Postgres: {type(error).__name__}")
    state = getattr(error.orig, "sqlstate", None)
    remedy = "; is the database migrated?" if state in ("42703", "42P01") else ""
    return _fault(error)(f"Postgres: {_reason(error)}{remedy}")


def _fault(error: DBAPIError) -> _Fault:
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return _FAULTS.get(state) or _FAULTS.get(state[:2]) or PatchcordError
    if isinstance(error.orig, psycopg.DataError):  # psycopg would not even send the value
        return InvalidError
    # Otherwise libpq gave up: refused, unknown host, wrong password, timeout.
    gave_up = isinstance(error.orig, psycopg.OperationalError | psycopg.InterfaceError)
    return UnavailableError if gave_up or error.connection_invalidated else PatchcordError


def _reason(error: DBAPIError) -> str:
    """The server's first sentence; what follows it may repeat a value."""
    diagnosis = getattr(error.orig, "diag", None)
    said = getattr(diagnosis, "message_primary", None) or str(error.orig)
    return said.strip().partition("\n")[0]
