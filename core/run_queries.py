"""Looking through the history of runs: the query of one page, and where the next one begins.

A page is found by the end and id of the last run on the page before, not by counting rows: runs
that are added meanwhile neither shift a page nor slow it down. Only runs that have ended are
looked at, so that the index on their end gives the order.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, literal_column, or_, select, tuple_
from sqlalchemy.dialects.postgresql import JSONB

from core.errors import InvalidError
from core.tables import RunRecord
from schemas.run import Run
from schemas.run_page import RunQuery


def runs_statement(query: RunQuery) -> Select[Any]:
    """Selects each run that has ended as one JSON object, newest first.

    A vCon's runs are those that it went into and those that it came out of. A time without a zone
    is in UTC, as everything is in the database's sessions.

    Raises:
        InvalidError: for a uuid or cursor that is none.
    """
    row = func.to_jsonb(literal_column(RunRecord.__tablename__), type_=JSONB)
    statement = select(row).select_from(RunRecord)
    statement = statement.where(RunRecord.finished_at.is_not(None))
    statement = statement.order_by(RunRecord.finished_at.desc(), RunRecord.run_id.desc())
    if query.chain is not None:
        statement = statement.where(RunRecord.chain == query.chain)
    if query.status is not None:
        statement = statement.where(RunRecord.status == query.status)
    if query.vcon_uuid is not None:
        vcon = _uuid("vcon_uuid", query.vcon_uuid)
        statement = statement.where(or_(RunRecord.vcon_in == vcon, RunRecord.vcon_out == vcon))
    if query.since is not None:
        statement = statement.where(RunRecord.finished_at >= query.since)
    if query.cursor:
        place = tuple_(RunRecord.finished_at, RunRecord.run_id)
        statement = statement.where(place < _position(query.cursor))
    return statement


def cursor_after(run: Run) -> str:
    """Where the page after this run begins."""
    assert run.finished_at is not None
    return f"{run.finished_at.isoformat()}~{run.run_id}"


def _position(cursor: str) -> Any:
    when, _, run_id = cursor.partition("~")
    try:
        return tuple_(datetime.fromisoformat(when), UUID(run_id))
    except ValueError:
        msg = "cursor: use the cursor of an earlier page as it is"
        raise InvalidError(msg) from None


def _uuid(field: str, text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        msg = f"{field}: {text[:80]!r} is not a uuid"
        raise InvalidError(msg) from None
