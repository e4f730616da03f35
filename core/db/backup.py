"""Backup and restore of the tables: `COPY` out of one snapshot, and into empty tables.

The order of the tables has no meaning, as all are read as of one moment, and there are no foreign
keys. Sequences are outside of transactions: read after the snapshot was taken, they are at least as
far as the rows. What moves from Redis to Postgres is read in Redis first: see
`pipeline/operator/backup/redis_reader.py`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from core.db.database import Database, migration_engine
from core.db.driver.errors import driver_errors_translated, raw_errors_translated
from core.db.partitions import TABLES as PARTITIONED
from core.db.partitions import missing_statements
from core.db.revisions import NO_REVISION, is_known, revision_over
from core.db.tables import Base
from core.errors import ConflictError, InvalidError
from core.settings import DatabaseSettings

_EXISTING = "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NOT NULL"
_COLUMNS = """
SELECT attname FROM pg_attribute
WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
ORDER BY attnum
"""
_PARTITIONS = """
SELECT part.relname FROM pg_inherits
JOIN pg_class AS part ON part.oid = inhrelid WHERE inhparent = to_regclass(%s)
"""
_PAST = 60
"""Days before today that get a partition before rows are restored; the next prune drops some."""
# Those that belong to a column, and those that a default of a column takes numbers from.
_SEQUENCES = """
WITH tables AS (SELECT to_regclass(name) AS oid FROM unnest(%s::text[]) AS name)
SELECT relname FROM pg_class JOIN (
  SELECT objid AS oid FROM pg_depend JOIN tables ON tables.oid = refobjid
  WHERE deptype IN ('a', 'i')
  UNION SELECT refobjid FROM pg_depend JOIN pg_attrdef ON pg_attrdef.oid = objid
  JOIN tables ON tables.oid = adrelid WHERE classid = 'pg_attrdef'::regclass
) AS used ON used.oid = pg_class.oid WHERE relkind = 'S' ORDER BY relname
"""
_BEGIN = (
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
    "SET LOCAL TimeZone = 'UTC'",
    "SET LOCAL DateStyle = 'ISO'",
)
_HAS_TOMBSTONES = "SELECT to_regclass('law_tombstones')"
_TOMBSTONES = "SELECT vcon_uuid::text, erasure::text FROM law_tombstones ORDER BY number"


@dataclass(frozen=True, slots=True)
class CopiedTable:
    """A table and its columns, in the order of their values in the text of `COPY`."""

    name: str
    columns: Sequence[str]


class Snapshot:
    """All tables as of one moment."""

    def __init__(self, connection: psycopg.Connection[Any], revision: str) -> None:
        self._connection = connection
        self.revision = revision

    def tables(self) -> list[CopiedTable]:
        """The tables of the service that exist."""
        return [
            CopiedTable(name, [row[0] for row in self._connection.execute(_COLUMNS, [name])])
            for name in _existing(self._connection)
        ]

    def copy_out(self, table: CopiedTable) -> Iterator[bytes]:
        """The rows of a table as the text of `COPY`, a line each.

        Raises:
            UnavailableError: Postgres cannot be reached.
        """
        query = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(
            _names(table.columns), sql.Identifier(table.name)
        )
        with (
            raw_errors_translated(),
            self._connection.cursor() as cursor,
            cursor.copy(query) as rows,
        ):
            for piece in rows:
                yield bytes(piece)

    def sequences(self) -> list[tuple[str, int, bool]]:
        """Name, last value and whether it was used, of each sequence of these tables."""
        names = self._connection.execute(_SEQUENCES, [_existing(self._connection)]).fetchall()
        return [(name, *self._value(name)) for (name,) in names]

    def _value(self, name: str) -> tuple[int, bool]:
        query = sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier(name))
        row = self._connection.execute(query).fetchone()
        return row if row is not None else (1, False)


@contextmanager
def snapshot(settings: DatabaseSettings) -> Iterator[Snapshot]:
    """A snapshot that lasts until the block ends; it blocks no other session.

    Raises:
        UnavailableError: Postgres cannot be reached.
    """
    with _transaction(settings, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY") as (
        connection,
        revision,
    ):
        yield Snapshot(connection, revision)


class Restoration:
    """Fills empty tables, in one transaction."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def copy_in(self, table: CopiedTable, pieces: Iterator[bytes]) -> None:
        """Fill a table.

        Raises:
            InvalidError: the rows do not fit the table.
            UnavailableError: Postgres cannot be reached.
        """
        self._make_partitions(table.name)
        query = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier(table.name), _names(table.columns)
        )
        with (
            raw_errors_translated(),
            self._connection.cursor() as cursor,
            cursor.copy(query) as rows,
        ):
            for piece in pieces:
                rows.write(piece)

    def _make_partitions(self, name: str) -> None:
        """For rows of the last days; older ones get into the partition of all others."""
        with raw_errors_translated():
            parts = [row[0] for row in self._connection.execute(_PARTITIONS, [name])]
            for each in (each for each in PARTITIONED if each.name == name and parts):
                for statement in missing_statements(parts, each, _PAST):
                    self._connection.execute(statement.encode())

    def tombstones(self) -> list[tuple[str, str]]:
        """The uuids that are refused, and the erasures; none in backups of earlier versions."""
        with raw_errors_translated():
            if self._connection.execute(_HAS_TOMBSTONES).fetchone() == (None,):
                return []
            return self._connection.execute(_TOMBSTONES).fetchall()

    def set_sequence(self, name: str, value: int, *, used: bool) -> None:
        """Let a sequence go on from a value."""
        with raw_errors_translated():
            self._connection.execute("SELECT setval(%s::regclass, %s, %s)", [name, value, used])


@contextmanager
def restoration(settings: DatabaseSettings) -> Iterator[Restoration]:
    """A transaction that is committed when the block ends without an error.

    Raises:
        ConflictError: a table is not empty.
        UnavailableError: Postgres cannot be reached.
    """
    with _transaction(settings) as (connection, _):
        if filled := _filled(connection):
            raise ConflictError(not_empty(filled))
        yield Restoration(connection)


def check_target(settings: DatabaseSettings, revision: str) -> str:
    """Check that a backup of this revision can be restored here; returns the present revision.

    Raises:
        InvalidError: this version does not know the revision.
        ConflictError: the database is not empty, or is at another revision.
        UnavailableError: Postgres cannot be reached.
    """
    if not is_known(revision):
        msg = f"the backup has the schema revision {revision[:100]}, which this version does not"
        raise InvalidError(f"{msg} know: restore it with the version that wrote it, or a later one")
    with _transaction(settings) as (connection, present):
        if filled := _filled(connection):
            raise ConflictError(not_empty(filled))
    if present not in (NO_REVISION, revision):
        msg = f"the database is at revision {present}, the backup at {revision}: restore into a"
        raise ConflictError(f"{msg} database without tables; it is migrated to {present} after")
    return present


def check_table(table: CopiedTable) -> None:
    """Check that a table of a backup is one of the service's.

    Raises:
        InvalidError: it is another one, or has no columns.
    """
    if table.name not in Base.metadata.tables or not table.columns:
        msg = f"the backup has a table {table.name[:60]!r}, which this version does not know"
        raise InvalidError(msg)


def check_sequence(row: Sequence[str]) -> None:
    """Check that a sequence of a backup belongs to a table of the service.

    Raises:
        InvalidError: it is another one, or has no number.
    """
    fits = len(row) == 3 and row[1].isascii() and row[1].isdigit() and len(row[1]) < 19
    if not fits or not row[0].startswith(tuple(f"{name}_" for name in Base.metadata.tables)):
        msg = f"the backup has a sequence {row[0][:60]!r}, which this version does not know"
        raise InvalidError(msg)


def migrate(settings: DatabaseSettings, revision: str = "head") -> None:
    """Migrate the database to a revision.

    Raises:
        UnavailableError: Postgres cannot be reached.
    """
    if revision == NO_REVISION:
        return
    database = Database()
    database.initialize(settings)
    try:
        database.migrate(revision)
    finally:
        database.close()


def not_empty(names: Sequence[str]) -> str:
    """The refusal for a database with rows in these tables."""
    return (
        f"the database is not empty ({', '.join(names[:5])} have rows): a backup is restored into"
        " an empty one only; create a database, or drop these tables' rows yourself"
    )


@contextmanager
def _transaction(
    settings: DatabaseSettings, *first: str
) -> Iterator[tuple[psycopg.Connection[Any], str]]:
    with driver_errors_translated(), migration_engine(settings).connect() as connection:
        for statement in (*first, *_BEGIN):
            connection.exec_driver_sql(statement)
        driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
        yield driver, revision_over(driver)
        connection.commit()


def _existing(connection: psycopg.Connection[Any]) -> list[str]:
    names = sorted(Base.metadata.tables)
    return sorted(row[0] for row in connection.execute(_EXISTING, [names]))


def _filled(connection: psycopg.Connection[Any]) -> list[str]:
    """The tables with rows."""
    query = sql.SQL("SELECT 1 FROM {} LIMIT 1")
    return [
        name
        for name in _existing(connection)
        if connection.execute(query.format(sql.Identifier(name))).fetchone() is not None
    ]


def _names(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))
