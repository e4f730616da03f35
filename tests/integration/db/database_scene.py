"""What the tests of the database and of its errors share."""

import traceback
from datetime import UTC, datetime

from sqlalchemy import select

from core.db.tables import ServiceRecord

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def a_service(**changes):
    """One row of `services`."""
    values = {"id": 1, "name": "one", "inserted_at": NOON, "updated_at": NOON}
    return ServiceRecord(**(values | changes))


def names(database):
    """The names of all services, read over another session."""
    with database.session() as session:
        return list(session.scalars(select(ServiceRecord.name).order_by(ServiceRecord.name)))


def everything_said(error):
    """All that a log line with traceback would show."""
    return "".join(traceback.format_exception(error)) + repr(error)
