"""Fixtures that several files of tests of the database share."""

import os

import pytest

from core.db.database import Database
from core.settings import DatabaseSettings
from tests.integration.db.records_scene import log_of_records, records_of
from tests.unit.support.source_files import ROOT


@pytest.fixture
def database(database_settings):
    """A database of the test's own, migrated."""
    database = Database()
    database.initialize(database_settings)
    yield database
    database.close()


@pytest.fixture
def elsewhere(database_settings):
    """Makes a `Database` with other settings than the working ones."""
    made = []

    def make(**changes):
        settings = DatabaseSettings(**(database_settings.model_dump() | changes))
        made.append(Database())
        made[-1].initialize(settings)
        return made[-1]

    yield make
    for database in made:
        database.close()


@pytest.fixture
def records(migrated):
    """Makes records that write to the test's database; stopped after the test."""
    with records_of(migrated) as make:
        yield make


@pytest.fixture
def lines():
    """The names of the lines that the records log, as a queue to wait on."""
    with log_of_records() as said:
        yield said


@pytest.fixture
def empty_settings(postgres_server, empty_database):
    """The settings of a database without tables."""
    values = postgres_server.environment(empty_database).items()
    return DatabaseSettings(environment="test", **{name.lower(): value for name, value in values})


@pytest.fixture
def empty_environment(postgres_server, empty_database):
    """What a process needs to know of a database without tables."""
    known = postgres_server.environment(empty_database)
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "ENVIRONMENT": "test"} | known
