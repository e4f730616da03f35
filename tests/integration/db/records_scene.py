"""What the tests of the records share: news to tell, and ways to watch it arrive."""

import logging
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue

from sqlalchemy import text

from core.concurrency.backoff import Backoff
from core.db.registrations import Records
from schemas.service import Service
from schemas.token import Token
from tests.canaries import canary

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECRET = canary("1-iQ0kccX4R8VQNAC_YjKjLeN1fz81mhIVuQaTndNF0")
PATIENCE = 60.0  # seconds; a ceiling, reached only when something is broken


def minutes(number):
    """A time some minutes after noon."""
    return NOON + timedelta(minutes=number)


def a_service(number=1, name="one", updated=0):
    """A service as the Plugboard describes it."""
    return Service(id=number, name=name, inserted_at=NOON, updated_at=minutes(updated))


def a_token(number=1, value=None):
    """A token as the Plugboard describes it."""
    return Token(
        id=number,
        context="api-token",
        service_id=1,
        inserted_at=NOON,
        expires_at=minutes(60),
        value=value,
    )


@contextmanager
def records_of(database):
    """A maker of records that try again at once; all of them have ended afterwards."""
    made = []

    def make(**options):
        made.append(Records(database, backoff=Backoff(first=0.01, cap=0.02), **options))
        return made[-1]

    yield make
    for each in made:
        each.close(PATIENCE)


@contextmanager
def log_of_records():
    """The names of the lines that the records log, as a queue to wait on."""
    said = SimpleQueue()

    class Listener(logging.Handler):
        def emit(self, record):
            said.put(record.getMessage())

    logger, listener = logging.getLogger("core.db.registrations"), Listener()
    logger.addHandler(listener)
    yield said
    logger.removeHandler(listener)


def flushed(records):
    """Stop the records when everything is written."""
    assert records.close(PATIENCE) == 0


def rows(database, table):
    """All rows of a table in the order of their ids."""
    with database.session() as session:
        return session.execute(text(f"SELECT * FROM {table} ORDER BY id")).mappings().all()
