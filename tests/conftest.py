"""Real servers for every test that asks for one.

A session (each worker of a parallel one too) has one PostgreSQL and one Valkey, started when the
first test asks; each test gets a database and an emptied Redis of its own. Nothing is imported
before it is asked for: the unit tests stay fast.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from tests.browser import browse, chromium
from tests.canaries import LogSearch, keep_redis
from tests.emptying import empty
from tests.prepared.plugin import PreparedStarts
from tests.time_limits import time_is_up

if TYPE_CHECKING:
    from pathlib import Path

    from core.settings import DatabaseSettings
    from devstack.servers.postgres import Postgres
    from devstack.servers.valkey import Valkey
    from tests.databases import Databases

__all__ = ["browse", "chromium", "time_is_up"]
# a busy machine must not fail a test: no health check by the clock either
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", settings.get_profile("house"), max_examples=10_000)
settings.load_profile("house")
TEMPLATE = "patchcord_template"
_numbers = count(1)
PATIENT = {"socket_timeout": 120.0}
CONNECT_SECONDS = 15
"""In place of the service's 2: a test must not fail because the machine stops for 3 of them."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--executed`: start every service, worker and keeper anew; see `tests.prepared`."""
    parser.addoption("--executed", action="store_true", help="fork no service; execute it")


def pytest_configure(config: pytest.Config) -> None:
    """No secret of a test may be in any log; services are forked."""
    config.pluginmanager.register(LogSearch())
    config.pluginmanager.register(
        PreparedStarts(executed=config.getoption("executed", default=False)), "prepared"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Replace half surrogates, which tests put into errors, in what a process reports of its tests.

    A process of several cannot send them to the one that prints, and would take that down with it.
    """
    report = yield
    report.sections = [(name, _encodable(text)) for name, text in report.sections]
    if report.longrepr is not None and (shown := str(report.longrepr)) != _encodable(shown):
        report.longrepr = _encodable(shown)
    return report


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@pytest.fixture(scope="session", autouse=True)
def patient_redis_clients() -> Iterator[None]:
    """Clients of Redis wait for as long as the tests do; the driver's default is 5 seconds.

    Also where a test asks for an element of a list that comes within a minute.
    """
    from redis import connection
    from redis.asyncio import connection as asynchronous

    with pytest.MonkeyPatch.context() as patch:
        for kind in (connection.AbstractConnection, asynchronous.AbstractConnection):
            patch.setattr(kind, "__init__", _patient(kind.__init__))
        yield


def _patient(make: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(make)  # the driver asks for the names of its options
    def made(self: object, *arguments: Any, **options: Any) -> None:
        make(self, *arguments, **PATIENT | options)

    return made


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """The session's PostgreSQL; tests that stop or kill a server start their own."""
    from core.db.driver import arguments
    from devstack.servers.folders import temporary_folder
    from devstack.servers.postgres import Postgres

    with temporary_folder() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setitem(arguments.CONNECT, "connect_timeout", CONNECT_SECONDS)
        server = Postgres.start(folder, fsync=False)
        yield server
        server.stop()


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Valkey]:
    """The session's Valkey; tests that stop or kill a server start their own."""
    from devstack.servers.folders import temporary_folder
    from devstack.servers.valkey import Valkey

    with temporary_folder() as folder:
        server = Valkey.start(folder, durable=False)
        yield server
        server.stop()


@pytest.fixture
def reachable_folder() -> Iterator[Path]:
    """A folder for servers of the test's own; pytest's `tmp_path` is closed to root's servers."""
    from devstack.servers.folders import temporary_folder

    with temporary_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def used_stack_folder() -> Iterator[Path]:
    """The folder of an embedded stack that ran before: its database need not be made again."""
    from devstack.servers.folders import temporary_folder
    from devstack.servers.postgres import Postgres

    with temporary_folder() as folder:
        Postgres.start(folder / "postgres", fsync=False).stop()
        yield folder


@pytest.fixture
def redis_url(valkey_server: Valkey) -> Iterator[str]:
    """The address of a Redis with JSON that holds nothing; what is left in it is searched."""
    from redis import Redis

    with Redis.from_url(valkey_server.url) as client:
        empty(client)
    yield valkey_server.url
    keep_redis(valkey_server.url)


@pytest.fixture
def empty_database(postgres_server: Postgres) -> Iterator[str]:
    """The name of a database without tables, dropped after the test."""
    postgres_server.create_database(name := _next_name())
    yield name
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def template_database(postgres_server: Postgres) -> str:
    """The name of a database migrated to the newest revision, there to be copied, not used."""
    from core.db.database import Database

    postgres_server.create_database(TEMPLATE)
    database = Database()
    database.initialize(_settings(postgres_server, TEMPLATE))
    database.migrate()
    database.close()
    return TEMPLATE


@pytest.fixture(scope="session")
def databases(postgres_server: Postgres, template_database: str) -> Databases:
    """The migrated databases of this process."""
    from tests.databases import Databases

    return Databases(postgres_server, template_database, _next_name)


@pytest.fixture(scope="session")
def partitioned_databases(postgres_server: Postgres, template_database: str) -> Databases:
    """Those with the partitions of these days, which a service makes at its start otherwise.

    A test that starts one can then leave its database to the next test.
    """
    from core.db.database import Database
    from core.db.partitions import Partitions
    from tests.databases import Databases

    postgres_server.create_database(name := f"{TEMPLATE}_partitioned", template_database)
    database = Database()
    database.initialize(_settings(postgres_server, name))
    Partitions(database).make()
    database.close()
    return Databases(postgres_server, name, _next_name)


@pytest.fixture
def database_name(databases: Databases) -> Iterator[str]:
    """The name of a migrated database of the test's own, without rows; what is left is searched."""
    name, schema = databases.take()
    yield name
    databases.give_back(name, schema)


@pytest.fixture
def database_url(postgres_server: Postgres, database_name: str) -> str:
    """The `postgresql://` URL of the test's migrated database."""
    return postgres_server.url(database_name)


@pytest.fixture
def database_settings(postgres_server: Postgres, database_name: str) -> DatabaseSettings:
    """The settings of the test's migrated database, as `Database.initialize` takes them."""
    return _settings(postgres_server, database_name)


@pytest.fixture
def database_environment(postgres_server: Postgres, database_name: str) -> dict[str, str]:
    """The variables by which a process finds the test's migrated database."""
    return {"ENVIRONMENT": "test", **postgres_server.environment(database_name)}


def _next_name() -> str:
    return f"patchcord_{next(_numbers)}"


def _settings(server: Postgres, database: str) -> DatabaseSettings:
    from core.settings import DatabaseSettings

    values = {name.lower(): value for name, value in server.environment(database).items()}
    return DatabaseSettings(environment="test", **values)
