"""A connection that is given up when Postgres does not answer in time.

The server's own timeouts do not help when a proxy keeps the connection open and the server behind
it is gone: without this, a thread would wait for ever.
"""

from collections.abc import Generator
from typing import Any

import psycopg

from core.concurrency.thread_pool import seconds_left

_LATE = 0.5
"""Seconds after the end of a call until its connection is given up."""

WATCHED = {"keepalives_idle": 1, "keepalives_interval": 1, "tcp_user_timeout": 3000}
"""A server that has vanished from the network is noticed in four seconds, however long it may take
to answer: for calls of operators that may be long."""


class BoundedConnection(psycopg.Connection[Any]):
    """It waits as long as its thread's call has time; outside of calls, for `seconds`.

    It ends with the last reference to it: a pool that is closed does not know the connections that
    are in use, and one outside a pool may be made after its caller has gone.
    """

    seconds: float | None = None

    def wait[T](
        self, gen: Generator[Any, Any, T], interval: float = 0.1, timeout: float | None = None
    ) -> T:
        """Wait for the server; psycopg's hook."""
        left = seconds_left()
        limit = self.seconds if left is None else max(left, 0.0) + _LATE
        try:
            return super().wait(gen, interval, timeout or limit)
        except psycopg.OperationalError as error:
            if error.sqlstate is not None:
                raise
            self.pgconn.finish()  # no answer, or the connection is lost
            raise psycopg.OperationalError(f"connection given up: {error}") from None

    def __del__(self, *_: object) -> None:
        if hasattr(self, "pgconn"):  # else connecting has failed
            self.pgconn.finish()


def bounded_connection(
    seconds: float, _dialect: object, _record: object, words: list[Any], options: dict[str, Any]
) -> BoundedConnection:
    """Connect; for SQLAlchemy's event `do_connect`."""
    connection = BoundedConnection.connect(*words, **options | WATCHED)
    connection.seconds = seconds
    return connection


def limiting(statement: int, lock: int) -> str:
    """SQL that limits a transaction, in milliseconds, and sets its time zone.

    A session setting would apply to other clients behind a pooler.
    """
    return (
        f"SET LOCAL TimeZone = 'UTC'; SET LOCAL statement_timeout = {statement};"
        f" SET LOCAL lock_timeout = {lock}"
    )
