"""What goes wrong in Postgres leaves as our own errors, without secrets."""

import socket

import pytest
from sqlalchemy import text

from core.errors import ConflictError, InvalidError, PatchcordError, UnavailableError
from devstack.servers.ports import free_port
from tests.canaries import canary
from tests.integration.db.database_scene import a_service, everything_said, names


@pytest.mark.parametrize("changes", [{}, {"id": 2, "updated_at": None}], ids=["unique", "null"])
def test_conflict_tells_whose_fault_and_no_values(database, changes):
    """A broken constraint is a conflict, and the error repeats no value of the statement."""
    with database.transaction() as session:
        session.add(a_service())
    with pytest.raises(ConflictError, match="constraint") as caught, database.transaction() as same:
        same.add(a_service(name="very private", **changes))
    assert "very private" not in everything_said(caught.value)


@pytest.mark.parametrize("changes", [{"id": 2**70}, {"name": "a\0b"}])
def test_value_that_does_not_fit_is_invalid(database, changes):
    """A value that the column cannot hold is the caller's mistake, in Postgres or in psycopg."""
    with pytest.raises(InvalidError), database.transaction() as session:
        session.add(a_service(**changes))


def test_other_failures_are_ours(database):
    """A statement that is simply wrong is no fault of caller or server."""
    with pytest.raises(PatchcordError) as caught, database.session() as session:
        session.execute(text("SELEKT"))
    assert type(caught.value) is PatchcordError


@pytest.mark.parametrize("state", ["40P01", "40001"], ids=["deadlock", "serialization"])
def test_a_transaction_that_lost_against_another_is_unavailable(database, state):
    """Which is repeated where it was tried, as by the outbox of runs and notes."""
    raised = text(f"DO $$ BEGIN RAISE EXCEPTION 'lost' USING ERRCODE = '{state}'; END $$")
    with pytest.raises(UnavailableError, match="lost"), database.transaction() as session:
        session.execute(raised)


def test_database_without_tables_is_unavailable(postgres_server, empty_database, elsewhere):
    """Before the migration the tables are missing, which later tries may find mended."""
    database = elsewhere(postgres_db_test=empty_database)
    with pytest.raises(UnavailableError, match="services"):
        names(database)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: {"postgres_port": free_port()},
        lambda: {"postgres_password": canary("open-sesame-d7ec")},
        lambda: {"postgres_db_test": "no_such_database"},
        lambda: {"postgres_host": "host.invalid"},
    ],
    ids=["refused", "password", "database", "host"],
)
def test_unreachable(elsewhere, database_settings, wrong):
    """Every failure to connect is `UnavailableError`, and no message contains a password."""
    database = elsewhere(**wrong())
    assert not database.reachable()
    with pytest.raises(UnavailableError) as caught:
        database.migrate()
    said = everything_said(caught.value)
    assert canary("open-sesame-d7ec") not in said
    assert database_settings.postgres_password.get_secret_value() not in said


def test_silent_server_is_unreachable(elsewhere):
    """A server that accepts connections and never says a word does not hold the check up."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not elsewhere(postgres_port=silent.getsockname()[1]).reachable()
