"""News about services and tokens survives Postgres being away."""

import psycopg
import pytest

from tests.integration.db.records_scene import (
    PATIENCE,
    SECRET,
    a_service,
    a_token,
    flushed,
    rows,
)


@pytest.fixture
def postgres_door(postgres_server, database_name):
    """Allows and refuses all connections to the test's database."""
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:

        def move(*, is_open):
            connection.execute(f"ALTER DATABASE {database_name} ALLOW_CONNECTIONS {is_open}")
            if not is_open:
                connection.execute(
                    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                    " WHERE datname = %s",
                    [database_name],
                )

        yield move


def test_postgres_away_and_back(records, migrated, lines, postgres_door):
    """News survives an outage, merged per id, and the log has one line for each change."""
    writer = records()
    postgres_door(is_open=False)
    writer.start()
    writer.service_seen(a_service(name="first", updated=1))
    assert lines.get(timeout=PATIENCE) == "registrations postponed"
    writer.service_seen(a_service(name="second", updated=2))
    writer.token_seen(a_token(value=SECRET))
    writer.token_seen(a_token())
    postgres_door(is_open=True)
    assert lines.get(timeout=PATIENCE) == "registrations resumed"
    flushed(writer)
    assert lines.empty()
    assert rows(migrated, "services")[0]["name"] == "second"
    assert rows(migrated, "tokens")[0]["value_sha256"]


def test_tables_may_come_later(records, migrated, lines):
    """Before the first migration the news waits like in any other outage."""
    migrated.teardown()
    writer = records()
    writer.service_seen(a_service())
    writer.start()
    assert lines.get(timeout=PATIENCE) == "registrations postponed"
    migrated.migrate()
    flushed(writer)
    assert len(rows(migrated, "services")) == 1


def test_the_oldest_goes_when_too_much_waits(records, migrated, lines):
    """Beyond the limit the news that waits longest is dropped, and one line says so."""
    writer = records(limit=3)
    for number in range(6):
        writer.service_seen(a_service(number))
    writer.start()
    flushed(writer)
    assert [row["id"] for row in rows(migrated, "services")] == [3, 4, 5]
    assert lines.get(timeout=0) == "registrations dropped"
    assert lines.empty()


def test_closing_without_postgres_says_what_is_lost(records, lines, postgres_door):
    """When Postgres stays away, closing ends all the same and counts what was not written."""
    writer = records()
    postgres_door(is_open=False)
    writer.start()
    writer.service_seen(a_service())
    writer.token_seen(a_token())
    assert lines.get(timeout=PATIENCE) == "registrations postponed"
    assert writer.close(timeout=0.05) == 2
    assert lines.get(timeout=0) == "registrations lost"
    postgres_door(is_open=True)


def test_closing_twice_or_without_start_is_fine(records):
    """Nothing waits, nothing is lost, nothing is raised."""
    writer = records()
    assert (writer.close(), writer.close()) == (0, 0)
