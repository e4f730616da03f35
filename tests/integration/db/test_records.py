"""What the Plugboard says arrives in Postgres, off the caller's way."""

import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256

import psycopg
import pytest
from sqlalchemy import event

from tests.integration.db.records_scene import (
    NOON,
    PATIENCE,
    SECRET,
    a_service,
    a_token,
    flushed,
    minutes,
    rows,
)


@pytest.fixture
def locked_services(migrated, database_url):
    """Locks the table; gives a function that waits for the attempts of so many writers."""

    @contextmanager
    def lock(*, writers):
        tries = threading.Semaphore(0)
        event.listen(migrated.engine, "before_cursor_execute", lambda *_: tries.release())
        with psycopg.connect(database_url) as connection:
            # Else a test that waits for Postgres would wait for ever.
            connection.execute("SET idle_in_transaction_session_timeout = '20s'")
            connection.execute("LOCK TABLE services IN ACCESS EXCLUSIVE MODE")
            yield lambda: [tries.acquire(timeout=PATIENCE) for _ in range(writers)]

    return lock


def test_what_is_said_is_written(records, migrated):
    """Services and tokens become rows, also those mentioned before the start."""
    writer = records()
    writer.service_seen(a_service())
    writer.start()
    writer.token_seen(a_token())
    flushed(writer)
    ((service,), (token,)) = rows(migrated, "services"), rows(migrated, "tokens")
    assert (service["name"], service["updated_at"], service["deleted_at"]) == ("one", NOON, None)
    assert (token["service_id"], token["expires_at"]) == (1, minutes(60))
    assert (token["value_sha256"], token["deleted_at"]) == (None, None)


def test_a_deletion_is_dated(records, migrated):
    """What was deleted keeps its row and gets the time."""
    before, writer = datetime.now(UTC), records()
    writer.service_deleted(a_service())
    writer.token_deleted(a_token())
    writer.start()
    flushed(writer)
    for table in ("services", "tokens"):
        assert before <= rows(migrated, table)[0]["deleted_at"] <= datetime.now(UTC)


def test_of_a_secret_only_the_hash_is_kept(records, migrated):
    """A token's value is stored as SHA-256 and nowhere in clear."""
    writer = records()
    writer.token_seen(a_token(value=SECRET))
    writer.start()
    flushed(writer)
    (token,) = rows(migrated, "tokens")
    assert token["value_sha256"] == sha256(SECRET.encode()).hexdigest()
    assert SECRET not in str(token)


def test_a_hash_stays_when_the_token_is_seen_without_value(records, migrated):
    """A later mention without the value, by another process, keeps the stored hash."""
    for value in (SECRET, None):
        writer = records()
        writer.token_seen(a_token(value=value))
        writer.start()
        flushed(writer)
    assert rows(migrated, "tokens")[0]["value_sha256"] == sha256(SECRET.encode()).hexdigest()


def test_speaking_never_waits_for_postgres(records, migrated, locked_services):
    """While another session locks the table, a thousand events are accepted without waiting."""
    writer = records(batch=7)
    with locked_services(writers=1):
        writer.start()
        for number in range(1000):
            writer.service_seen(a_service(number))
    flushed(writer)
    assert len(rows(migrated, "services")) == 1000


def test_what_changes_while_it_is_written_is_written_again(records, migrated, locked_services):
    """News about a row that is just on its way to Postgres is not forgotten with that row."""
    writer = records()
    with locked_services(writers=1) as on_its_way:
        writer.start()
        writer.service_seen(a_service(name="first"))
        on_its_way()
        writer.service_seen(a_service(name="second"))
    flushed(writer)
    assert rows(migrated, "services")[0]["name"] == "second"


def test_one_refused_row_does_not_hold_up_the_others(records, migrated, lines):
    """A row that Postgres will never take is dropped with a line; its neighbours are written."""
    writer = records()
    for number in (1, 2**70, 3):
        writer.service_seen(a_service(number))
    writer.start()
    flushed(writer)
    assert [row["id"] for row in rows(migrated, "services")] == [1, 3]
    assert lines.get(timeout=0) == "registration refused"
    assert lines.empty()


def test_replicas_write_the_same_rows_without_deadlock(records, migrated, locked_services, lines):
    """Two replicas that write the same rows in opposite orders do not block each other."""
    forward, backward = records(), records()
    for number in range(500):
        forward.service_seen(a_service(number))
        backward.service_seen(a_service(499 - number))
    with locked_services(writers=2) as both_on_their_way:
        forward.start()
        backward.start()
        both_on_their_way()
    flushed(forward)
    flushed(backward)
    assert len(rows(migrated, "services")) == 500
    assert lines.empty()
