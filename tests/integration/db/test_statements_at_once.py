"""Several statements with one message each way."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlalchemy import event

from core.db.database import Database
from core.db.identity import Identities
from core.db.law.erasures import ErasureRows
from core.errors import ConflictError, InvalidError, UnavailableError
from core.settings import DatabaseSettings

INSERT = """
INSERT INTO vcon_owners (vcon_uuid, lineage, created_at, confirmed)
VALUES (%(uuid)s, %(uuid)s, now(), true)
"""
COUNT = "SELECT count(*) FROM vcon_owners WHERE vcon_uuid = %(uuid)s"


def test_each_statement_with_rows_has_its_result(migrated: Database):
    """Parameters are literals, also with quotes and other SQL in them."""
    text = "it's; DROP TABLE vcon_owners; -- %s \\"
    rows = migrated.at_once(f"SELECT %(text)s; {INSERT}; {COUNT}", {"text": text, "uuid": uuid4()})
    assert rows == [[(text,)], [(1,)]]


def test_they_are_one_transaction(migrated: Database):
    """A failure undoes the statements before it, and the connection is used again."""
    given = {"uuid": uuid4()}
    with pytest.raises(ConflictError):
        migrated.at_once(f"{INSERT}; {INSERT}", given)
    assert migrated.at_once(COUNT, given) == [[(0,)]]
    with migrated.transaction() as session:
        assert session.connection().in_transaction()


def test_the_limits_hold_and_end_with_them(migrated: Database):
    """They are those of a session, and are not left on the connection, as a pooler requires."""
    ask = "SELECT current_setting('statement_timeout'), current_setting('TimeZone')"
    ((limited,),) = migrated.at_once(ask, {})
    assert limited == ("15s", "UTC")
    with migrated.engine.connect() as connection:
        driver = connection.connection.driver_connection
        driver.rollback()
        assert driver.execute(ask).fetchone() != limited


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("SELECT FROM no_such_table", UnavailableError),
        ("SELECT %(text)s::uuid", InvalidError),
        ("SELECT pg_terminate_backend(pg_backend_pid())", UnavailableError),
    ],
)
def test_errors_are_those_of_a_session(migrated: Database, statement: str, error: type[Exception]):
    """A lost connection is replaced."""
    with pytest.raises(error):
        migrated.at_once(statement, {"text": "no uuid"})
    assert migrated.at_once("SELECT 1", {}) == [[(1,)]]


def test_a_database_that_cannot_be_reached(migrated: Database, database_settings: DatabaseSettings):
    """The driver's own error about it does not get out."""
    away = Database()
    away.initialize(database_settings.model_copy(update={"postgres_port": 1}))
    with pytest.raises(UnavailableError):
        away.at_once("SELECT 1", {})


def test_looks_that_repeat_every_second_take_no_session(migrated: Database):
    """A transaction of a session takes four times the CPU time, also of an idle service."""
    begun: list[object] = []
    event.listen(migrated.engine, "begin", begun.append)
    with migrated.transaction() as session:
        session.connection()
    assert len(begun) == 1
    rows = ErasureRows(migrated)
    assert rows.due(1) == []
    assert rows.tombstones(rows.latest_tombstone(), 1) == []
    assert Identities(migrated).read() is None
    assert len(begun) == 1
