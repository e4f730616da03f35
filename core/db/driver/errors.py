"""Errors of SQLAlchemy as errors of `core.errors`; those of the driver are in `faults`."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from core.db.driver.faults import fault
from core.errors import PatchcordError, UnavailableError


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
            raise fault(error) from None


def translated(error: SQLAlchemyError) -> PatchcordError:
    """The error of `core.errors` for one of SQLAlchemy; `PatchcordError` for unknown ones."""
    if isinstance(error, PoolTimeoutError):
        return UnavailableError("Postgres: every connection of the pool is busy")
    if not isinstance(error, DBAPIError):
        return PatchcordError(f"Postgres: {type(error).__name__}")
    return fault(error.orig, is_lost=error.connection_invalidated)
