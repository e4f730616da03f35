"""Migrated databases for the tests of one process, emptied and used again.

To copy the template takes a tenth of a second, to empty a copy a hundredth. One whose schema or
settings a test has changed is dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from devstack.servers.postgres import Postgres

_TABLES = """
SELECT relname FROM pg_class
WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
  AND relname <> 'alembic_version'
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
        """Empty it for the next test, or drop it if its schema has changed."""
        try:
            with psycopg.connect(self._server.url(name), autocommit=True) as connection:
                connection.execute(_OTHERS)
                if connection.execute(_SCHEMA).fetchone() == schema:
                    _empty(connection)
                    self._free.append((name, schema))
                    return
        except psycopg.Error:  # the test has dropped it, or locked it out
            pass
        self._server.drop_database(name)


def _empty(connection: psycopg.Connection[Any]) -> None:
    names = [sql.Identifier(name) for (name,) in connection.execute(_TABLES)]
    connection.execute("SET session_replication_role = replica")  # without the audit's triggers
    connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY").format(sql.SQL(", ").join(names)))
