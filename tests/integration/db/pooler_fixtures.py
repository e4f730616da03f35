"""A pooler in transaction mode, as people run Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.integration.support.missing import missing

if TYPE_CHECKING:
    from core.settings import DatabaseSettings
    from devstack.servers.pgbouncer import PgBouncer
    from devstack.servers.postgres import Postgres


@pytest.fixture(scope="session")
def pooler(postgres_server: Postgres) -> Iterator[PgBouncer]:
    """PgBouncer with two connections to the session's PostgreSQL for each database."""
    from devstack.servers.folders import temporary_folder
    from devstack.servers.pgbouncer import PgBouncer, installed

    programs = installed()
    if programs is None:
        missing("there is no PgBouncer here; `python -m devstack.servers.pgbouncer` says why")
    with temporary_folder() as folder:
        running = PgBouncer.start(programs, folder / "pgbouncer", postgres_server)
        yield running
        running.stop()


@pytest.fixture
def pooled_settings(pooler: PgBouncer, database_settings: DatabaseSettings) -> DatabaseSettings:
    """The settings of the test's migrated database, behind the pooler."""
    changes = {"postgres_host": pooler.host, "postgres_port": pooler.port}
    return database_settings.model_copy(update=changes)
