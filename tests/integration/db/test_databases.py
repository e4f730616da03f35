"""The databases that tests get one after the other: nothing of a test is left for the next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.canaries import CANARIES
from tests.databases import Databases

if TYPE_CHECKING:
    from devstack.servers.postgres import Postgres

SCHEMA = """
CREATE TABLE parents (id bigint PRIMARY KEY, at bigserial);
CREATE TABLE children (parent bigint REFERENCES parents);
CREATE SEQUENCE numbers START 5;
CREATE TABLE alembic_version (version_num text);
"""


@pytest.fixture
def own(postgres_server: Postgres, empty_database: str) -> Iterator[Databases]:
    """Databases like one with two tables, of which one refers to the other, and a sequence."""
    with psycopg.connect(postgres_server.url(empty_database)) as connection:
        connection.execute(SCHEMA)
    name = f"{empty_database}_copy"
    yield Databases(postgres_server, empty_database, lambda: name)
    postgres_server.drop_database(name)


def asked(server: Postgres, name: str, *statements: str) -> list[Any]:
    """The rows of the last one."""
    with psycopg.connect(server.url(name), autocommit=True) as connection:
        *_, cursor = (connection.execute(statement) for statement in statements)
        return cursor.fetchall()


def test_rows_and_numbers_of_sequences_are_gone(postgres_server: Postgres, own: Databases) -> None:
    """The one database is used again; what was in it is searched for secrets."""
    name, schema = own.take()
    row = "INSERT INTO parents VALUES (1); INSERT INTO children VALUES (1)"
    used = asked(postgres_server, name, row, "SELECT nextval('numbers'), max(at) FROM parents")
    own.give_back(name, schema)
    assert own.take() == (name, schema)
    rows = "SELECT id FROM parents UNION ALL SELECT parent FROM children"
    assert asked(postgres_server, name, rows) == []
    new = asked(
        postgres_server,
        name,
        "INSERT INTO parents VALUES (2)",
        "SELECT nextval('numbers'), max(at) FROM parents",
    )
    assert used == new == [(5, 1)]
    assert "the table children of a test" in CANARIES._texts


def test_one_with_another_schema_is_not_used_again(
    postgres_server: Postgres, own: Databases
) -> None:
    """A table of a test's own, say."""
    name, schema = own.take()
    asked(postgres_server, name, "CREATE TABLE others ()", "SELECT 1")
    own.give_back(name, schema)
    assert (
        asked(postgres_server, "postgres", f"SELECT FROM pg_database WHERE datname = '{name}'")
        == []
    )
