"""Engine, sessions, transactions and errors, against a real PostgreSQL."""

import gc

import pytest
from psycopg.pq import ConnStatus
from sqlalchemy import text

from core.db import database as component
from core.db.database import Database
from core.db.tables import ServiceRecord
from core.errors import (
    ConfigurationError,
    UnavailableError,
)
from devstack.servers.ports import free_port
from tests.integration.db.database_scene import (
    NOON,
    a_service,
    everything_said,
    names,
)


def test_documented_use(monkeypatch, database_environment):
    """The shared component works with the documented calls and variables and nothing else."""
    for name, value in database_environment.items():
        monkeypatch.setenv(name, value)
    try:
        component.database.initialize()
        component.database.migrate()
        with component.database.transaction() as session:
            session.add(a_service())
            assert session.query(ServiceRecord).count() == 1
        component.database.teardown()
        with pytest.raises(UnavailableError, match="does not exist"):
            names(component.database)
        component.database.migrate()
        assert names(component.database) == []
    finally:
        component.database.close()


def test_own_models_hang_on_base():
    """`base` is the declarative parent whose metadata the migrations are compared with."""
    assert {"services", "tokens", "chain_runs"} <= set(component.base.metadata.tables)
    assert issubclass(ServiceRecord, component.base)


@pytest.mark.parametrize("environment", ["development", "test", "production"])
def test_environment_chooses_the_database(database_settings, environment):
    """ENVIRONMENT alone says which of the three databases the URL names."""
    names = {f"postgres_db_{each}": each for each in ("development", "test", "production")}
    settings = database_settings.model_copy(update=names | {"environment": environment})
    url = component.get_database_url(settings)
    assert url.startswith("postgresql+psycopg://")
    assert url.endswith(f"/{environment}")


def test_url_comes_from_the_environment(monkeypatch, database_environment, database_name):
    """Without settings, `get_database_url()` reads the documented variables."""
    for name, value in database_environment.items():
        monkeypatch.setenv(name, value)
    assert database_name in component.get_database_url()


def test_missing_variables_are_named_and_the_password_is_not(monkeypatch, database_environment):
    """Each variable that is missing is named in a configuration error without any secret."""
    for name in database_environment:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("POSTGRES_PASSWORD", "open-sesame")
    with pytest.raises(ConfigurationError) as caught:
        Database().initialize()
    said = everything_said(caught.value)
    missing = database_environment.keys() - {"ENVIRONMENT", "POSTGRES_PASSWORD"}
    assert {name for name in missing if name in said} == missing
    assert "open-sesame" not in said


def test_use_before_initialize_is_our_own_mistake():
    """Use without `initialize()` raises an error that names it."""
    with pytest.raises(RuntimeError, match="initialize"), Database().session():
        pass


def test_closing_ends_connections_that_are_in_use(database):
    """A thread that still works when the pool closes leaves no connection open, and no warning."""
    with database.session() as session:
        driver_connection = session.connection().connection.driver_connection
        on_the_wire = driver_connection.pgconn
        database.close()
    del session, driver_connection
    gc.collect()
    assert on_the_wire.status == ConnStatus.BAD


def test_initialize_again_moves_to_other_settings(database, elsewhere, database_settings):
    """A second `initialize()` leaves the old database behind and opens the new one."""
    moving = elsewhere(postgres_port=free_port())
    assert not moving.reachable()
    moving.initialize(database_settings)
    assert moving.reachable()


def test_transaction_commits(database):
    """What a transaction did is there for others when it ends."""
    with database.transaction() as session:
        session.add(a_service())
        assert names(database) == []
    assert names(database) == ["one"]


def test_transaction_rolls_back_when_anything_is_raised(database):
    """An exception passes through a transaction unchanged, and nothing of it stays."""

    def break_off():
        with database.transaction() as session:
            session.add(a_service())
            session.flush()
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        break_off()
    assert names(database) == []


def test_session_commits_nothing_by_itself(database):
    """A raw session keeps what was committed and drops the rest."""
    with database.session() as session:
        session.add(a_service(name="kept"))
        session.commit()
        session.add(a_service(id=2, name="dropped"))
        session.flush()
    assert names(database) == ["kept"]


def test_row_can_be_read_after_its_transaction(database):
    """Objects outlive their transaction with the values they had."""
    with database.transaction() as session:
        service = a_service()
        session.add(service)
    assert service.name == "one"


def test_times_are_utc(database):
    """Times come back with their zone, and the zone is UTC."""
    with database.transaction() as session:
        session.add(a_service())
    with database.session() as session:
        read = session.get(ServiceRecord, 1).inserted_at
    assert (read, read.utcoffset().total_seconds()) == (NOON, 0)


def test_lost_connections_are_replaced(database, elsewhere, database_name):
    """When the server has closed the pool's connections, the next session gets a new one."""
    with database.session() as first, database.session() as second:
        lost = [each.scalar(text("SELECT pg_backend_pid()")) for each in (first, second)]
    with elsewhere().transaction() as session:
        for pid in lost:
            session.execute(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": pid})
    assert names(database) == []
