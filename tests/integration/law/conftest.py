"""Fixtures that several tests of the law share."""

from collections.abc import Iterator

import pytest

from core.db.database import Database
from core.settings import DatabaseSettings
from tests.integration.law.ledger_scene import Ledger


@pytest.fixture
def database(database_settings: DatabaseSettings) -> Iterator[Database]:
    """A migrated database."""
    database = Database()
    database.initialize(database_settings)
    yield database
    database.close()


@pytest.fixture
def ledger(database: Database) -> Ledger:
    """A ledger in that database."""
    return Ledger(database)
