"""Migrated databases for the tests of one process, emptied and used again.

To copy the template, or to truncate all of its tables, takes more than a tenth of a second of CPU;
to truncate those alone that have rows, a hundredth. One whose schema or settings a test has changed
is dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from tests.canaries import keep_tables
from tests.dumps import with_rows

if TYPE_CHECKING:
    from devstack.servers.postgres import Postgres

_TABLES = """
SELECT nspname, relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'p') AND nspname = 'public' AND relname <> 'alembic_version'
"""
_RESTART = """
SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL
"""
_SCHEMA = """
SELECT (SELECT array_agg(format('%s %s %s %s', relname, relkind, relacl, relowner) ORDER BY oid)
        FROM pg_class
        WHERE relnamespace::regnamespace::text NOT IN
          ('pg_catalog', 'pg_toast', 'information_schema')),
       (SELECT array_agg(format('%s %s %s %s %s', attrelid, attname, atttypid, attnotnull, attacl)
                         ORDER BY attrelid, attnum)
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
        WHERE relnamespace = 'public'::regnamespace),
       (SELECT array_agg(conname ORDER BY oid) FROM pg_constraint),
       (SELECT array_agg(format('%s %s %s', tgrelid, tgname, tgenabled) ORDER BY oid)
        FROM pg_trigger),
       (SELECT array_agg(format('%s %s', proname, prosrc) ORDER BY oid) FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace),
       (SELECT array_agg(nspname ORDER BY oid) FROM pg_namespace
        WHERE nspname !~ '^pg_(temp|toast_temp)_'),
       (SELECT array_agg(extname ORDER BY oid) FROM pg_extension),
       (SELECT array_agg(setconfig) FROM pg_db_role_setting),
       (SELECT array_agg(rolname ORDER BY oid) FROM pg_roles),
       (SELECT datconnlimit FROM pg_database WHERE datname = current_database()),
       (SELECT array_agg(version_num) FROM alembic_version)
"""
_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class Databases:
    """The databases of one server that no test uses at the moment."""

    def __init__(self, server: Postgres, template: str, names: Callable[[], str]) -> None:
        """`names` gives the name of the next database."""
        self._server, self._template, self._names = server, template, names
        self._free: list[tuple[str, Any]] = []

    def take(self) -> tuple[str, Any]:
        """An empty database, and what its schema is."""
        if self._free:
            return self._free.pop()
        name = self._names()
        self._server.create_database(name, self._template)
        with psycopg.connect(self._server.url(name)) as connection:
            return name, connection.execute(_SCHEMA).fetchone()

    def give_back(self, name: str, schema: Any) -> None:
        """Search it, and empty it for the next test, or drop it if its schema has changed."""
        with psycopg.connect(self._server.url(name), autocommit=True) as connection:
            keep_tables(connection)
            if _emptied(connection, schema):
                self._free.append((name, schema))
                return
        self._server.drop_database(name)


def _emptied(connection: psycopg.Connection[Any], schema: Any) -> bool:
    try:
        connection.execute(_OTHERS)
        if connection.execute(_SCHEMA).fetchone() != schema:
            return False
        _empty(connection)
    except psycopg.Error:  # the test has locked it
        return False
    return True


def _empty(connection: psycopg.Connection[Any]) -> None:
    """Without rows, and with sequences at their start."""
    tables = connection.execute(_TABLES).fetchall()
    connection.execute("SET session_replication_role = replica")  # without the audit's triggers
    if used := [sql.Identifier(*name) for name in with_rows(connection, tables)]:
        connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(sql.SQL(", ").join(used)))
    connection.execute(_RESTART)
