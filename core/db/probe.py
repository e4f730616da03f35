"""Looks at Postgres over a new connection each, without SQLAlchemy.

`check` needs no more of Postgres, and SQLAlchemy is a third of its imports. A service takes such a
look every two seconds, and one message each way takes a fraction of the CPU time of an engine.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, LiteralString

import psycopg

from core.db.driver.arguments import address, options
from core.db.driver.bounded_connection import WATCHED, BoundedConnection, limiting
from core.db.driver.faults import psycopg_errors_translated
from core.db.revisions import NO_REVISION, TABLES, newest_revision, problem_of
from core.errors import PatchcordError
from core.settings import DatabaseSettings

_SECONDS = 2
_PRESENT: LiteralString = "SELECT version_num FROM alembic_version"
_MISSING: LiteralString = (
    "SELECT name FROM unnest(CAST(%(tables)s AS text[])) AS name WHERE to_regclass(name) IS NULL"
)


class Probe:
    """Each call connects anew, and takes at most about two seconds per address of the server."""

    def __init__(self, settings: DatabaseSettings) -> None:
        """Connects to nothing."""
        self._arguments = options(settings) | address(settings) | {"connect_timeout": _SECONDS}

    def reachable(self) -> bool:
        """Whether Postgres answers."""
        try:
            self._rows("SELECT 1")
        except PatchcordError:
            return False
        return True

    def revisions(self) -> tuple[str, str]:
        """The revision of the database and the newest one of this version; `none` for no revision.

        Raises:
            UnavailableError: when Postgres cannot be reached.
        """
        present = self._present_and_missing()[0]
        return present or NO_REVISION, newest_revision() or NO_REVISION

    def schema_problem(self) -> str | None:
        """What is missing in the schema, and what to do; None if the schema is complete.

        Raises:
            UnavailableError: when Postgres cannot be reached.
        """
        return problem_of(*self._present_and_missing())

    def _present_and_missing(self) -> tuple[str | None, list[str]]:
        """The revision of the database, and the tables that it has not got."""
        try:
            present, missing = self._rows(_PRESENT, _MISSING)
        except _NoTableError:
            return None, sorted(TABLES)
        return next((each for (each,) in present), None), [name for (name,) in missing]

    def _rows(self, *statements: LiteralString) -> list[list[tuple[Any, ...]]]:
        """The rows of each statement; all go in one message, and are one transaction."""
        milliseconds = _SECONDS * 1000
        text = "; ".join((limiting(milliseconds, milliseconds), *statements))
        with psycopg_errors_translated(), self._connected() as connection:
            try:
                with psycopg.ClientCursor(connection) as cursor:
                    cursor.execute(text.encode(), {"tables": sorted(TABLES)})
                    return [each.fetchall() for each in cursor.results() if each.description]
            except psycopg.errors.UndefinedTable:
                raise _NoTableError from None

    @contextmanager
    def _connected(self) -> Iterator[BoundedConnection]:
        opened = BoundedConnection.connect(**self._arguments | WATCHED, autocommit=True)
        opened.seconds = _SECONDS + 1
        with closing(opened):
            yield opened


class _NoTableError(Exception):
    """The database was never migrated: it has no table of Alembic."""
