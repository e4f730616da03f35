"""Statements in a pipeline: one transaction, binary documents, errors, limits, poolers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from core.concurrency.thread_pool import BoundedCalls
from core.db.custody import Custody, NewCustody
from core.db.custody_acceptance import Acceptance
from core.db.database import Database
from core.db.driver.pipelined import Pipelined
from core.errors import ConflictError, InvalidError, UnavailableError
from core.settings import DatabaseSettings

INSERT = """
INSERT INTO vcon_owners (vcon_uuid, lineage, created_at, confirmed)
VALUES (%(uuid)s::uuid, %(uuid)s::uuid, now(), true)
"""
COUNT = "SELECT count(*) FROM vcon_owners WHERE vcon_uuid = %(uuid)s::uuid"
PIDS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"


@pytest.fixture
def acceptance(migrated: Database) -> Iterator[Acceptance]:
    """One in a real database."""
    with (
        closing(BoundedCalls("custody", threads=2, waiting=8, seconds=20.0)) as calls,
        closing(Acceptance(migrated, calls, 20.0)) as acceptance,
    ):
        yield acceptance


def a_row(**changes: Any) -> NewCustody:
    """A row to be inserted."""
    return NewCustody(str(uuid4()), ["one"], **{"document": b"{}", **changes})


class Unread(str):
    """A text whose characters must not be looked at."""

    __slots__ = ()

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("its characters were looked at")


def test_texts_are_not_searched_for_documents(migrated: Database) -> None:
    """A batch of runs is a text of up to a megabyte: a look at each character took most of it."""
    assert migrated.in_pipeline(Pipelined("SELECT %(text)s::text"), {"text": Unread("it")}) == [
        [("it",)]
    ]


def test_parameters_of_each_type(migrated: Database) -> None:
    """Documents are binary; empty lists, None in lists, and texts with SQL in them arrive."""
    given = {
        "text": "it's; DROP TABLE vcon_owners; -- %s \\",
        "documents": [b"\0\\x\xff", None, b""],
        "none": [],
        "numbers": [1, 2**40],
        "times": [datetime(2026, 11, 30, 12, tzinfo=UTC)],
    }
    ask = Pipelined(
        "SELECT %(text)s::text, %(documents)s::bytea[], %(none)s::bytea[], %(numbers)s::bigint[]",
        "SELECT %(times)s::timestamptz[], %(text)s::text;",
    )
    text, documents, none, numbers, times = given.values()
    assert migrated.in_pipeline(ask, given) == [[(text, documents, none, numbers)], [(times, text)]]


def test_they_are_one_transaction(migrated: Database) -> None:
    """A failure undoes the statements before it, and the connection is used again."""
    given = {"uuid": str(uuid4())}
    with pytest.raises(ConflictError):
        migrated.in_pipeline(Pipelined(INSERT, INSERT), given)
    assert migrated.in_pipeline(Pipelined(COUNT), given) == [[(0,)]]
    migrated.in_pipeline(Pipelined(INSERT), given)
    assert migrated.in_pipeline(Pipelined(COUNT), given) == [[(1,)]]


def test_the_limits_hold_and_end_with_them(migrated: Database) -> None:
    """They are those of a session, and are not left on the connection, as a pooler requires."""
    ask = "SELECT current_setting('statement_timeout'), current_setting('TimeZone')"
    [[limited]] = migrated.in_pipeline(Pipelined(ask), {})
    assert limited == ("15s", "UTC")
    with migrated.engine.connect() as connection:
        assert connection.connection.driver_connection.execute(ask).fetchone() != limited


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("SELECT FROM no_such_table", UnavailableError),
        ("SELECT %(text)s::text::uuid", InvalidError),
        ("SELECT pg_terminate_backend(pg_backend_pid())", UnavailableError),
    ],
)
def test_errors_are_those_of_a_session(
    migrated: Database, statement: str, error: type[Exception]
) -> None:
    """A lost connection is replaced."""
    with pytest.raises(error):
        migrated.in_pipeline(Pipelined(statement), {"text": "no uuid"})
    assert migrated.in_pipeline(Pipelined("SELECT 1"), {}) == [[(1,)]]


async def test_refs_are_in_the_order_of_the_items(
    acceptance: Acceptance, migrated: Database
) -> None:
    """Also of many, large ones, of which the socket takes only a part at once."""
    items = [a_row(document=b"%d" % n * 100_000) for n in range(50)]
    refs = await acceptance(items)
    numbers = [int(ref.partition(".")[2].partition(":")[0]) for ref in refs]
    ask = "SELECT document FROM custody WHERE number = ANY(%(numbers)s::bigint[]) ORDER BY number"
    [found] = migrated.in_pipeline(Pipelined(ask), {"numbers": numbers})
    assert [bytes(document) for (document,) in found] == [each.document for each in items]


async def test_a_connection_that_was_lost_is_replaced(
    acceptance: Acceptance, migrated: Database
) -> None:
    """The caller does not notice that Postgres has ended it since its last use."""
    await acceptance([a_row()])
    migrated.in_pipeline(Pipelined(f"{PIDS} AND pid <> pg_backend_pid()"), {})
    assert len(await acceptance([a_row(), a_row()])) == 2


async def test_a_lock_is_waited_for_only_so_long(migrated: Database) -> None:
    """Postgres ends the statement, and the next ones are carried out."""
    with (
        closing(BoundedCalls("custody", threads=2, waiting=8, seconds=20.0)) as calls,
        closing(Acceptance(migrated, calls, 0.2)) as acceptance,
    ):
        with migrated.transaction() as session:
            session.connection().exec_driver_sql("LOCK TABLE custody")
            with pytest.raises(UnavailableError):
                await acceptance([a_row()])
        acceptance.close()
        assert len(Custody(migrated).accept([a_row()])) == 1


async def test_behind_a_pooler(pooled_settings: DatabaseSettings) -> None:
    """In transaction mode, with two connections to the server for four clients."""
    database = Database()
    database.initialize(pooled_settings)
    with (
        closing(database),
        closing(BoundedCalls("custody", threads=4, waiting=8, seconds=20.0)) as calls,
    ):
        for _ in range(4):
            with closing(Acceptance(database, calls, 20.0)) as acceptance:
                for _ in range(3):
                    assert len(await acceptance([a_row(), a_row()])) == 2
        ask = Pipelined("SELECT count(*) FROM custody")
        assert database.in_pipeline(ask, {}) == [[(24,)]]
