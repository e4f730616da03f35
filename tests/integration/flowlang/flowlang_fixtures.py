"""Fixtures of the tests of built-in connection plugins."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.support.flowlang_databases import KINDS, Opened, manager
from tests.integration.support.missing import missing
from tests.integration.support.tls_fixtures import Certificates

if TYPE_CHECKING:
    from pathlib import Path

    from devstack.servers.mariadb import MariaDB
    from devstack.servers.postgres import Postgres


@pytest.fixture(scope="session")
def mariadb_server(certificates: Certificates) -> Iterator[MariaDB]:
    """The session's MariaDB; without one the test is skipped, or fails in CI."""
    from devstack.servers.folders import temporary_folder
    from devstack.servers.mariadb import MariaDB, installed

    programs = installed()
    if programs is None:
        missing("there is no MariaDB here; `python -m devstack.servers.mariadb` says why")
    with temporary_folder() as folder:
        files = [f"--ssl-{name}={certificates.pem}" for name in ("cert", "key")]
        server = MariaDB.start(programs, folder / "mariadb", files)
        yield server
        server.stop()


@pytest.fixture
def database_config(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """The configuration of a connection to an empty database of the kind in `request.param`."""
    if request.param == "postgres":
        server: Postgres = request.getfixturevalue("postgres_server")
        url = server.url(request.getfixturevalue("empty_database"))
        return {"type": "postgres", "url": url, "pool_size": 2, "timeout": 20}
    if request.param == "mysql":
        return mysql_config(request.getfixturevalue("mariadb_server"))
    return {"type": "sqlite", "database": str(tmp_path / "new" / "test.db")}


def mysql_config(server: MariaDB) -> dict[str, Any]:
    """The configuration of a connection to MariaDB's database, emptied before."""
    fields = ("host", "port", "user", "password", "database")
    return {"type": "mysql", "pool_size": 2, **{name: getattr(server, name) for name in fields}}


@pytest.fixture
async def database(database_config: dict[str, Any]) -> AsyncIterator[Opened]:
    """An open connection to that database, with an empty table `people`."""
    kind = KINDS[database_config["type"]]
    async with manager(database_config) as connections:
        opened = Opened(kind, connections, database_config)
        await opened.do("execute", query="DROP TABLE IF EXISTS people")
        await opened.do(
            "execute",
            query=f"CREATE TABLE people (id {kind.key}, name VARCHAR(40) NOT NULL,"
            f" town VARCHAR(40) DEFAULT 'Berlin', extra {kind.blob})",
        )
        yield opened
