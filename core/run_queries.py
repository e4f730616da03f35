"""Looking through the history of runs: the query of one page, and where the next one begins.

A page is found by the time and id of the last run on the page before, not by counting rows: runs
that are added meanwhile neither shift a page nor slow it down.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, literal_column, select, tuple_
from sqlalchemy.dialects.postgresql import JSONB

from core.errors import InvalidError
from core.tables import RunRecord
from schemas.run import Run
from schemas.run_page import RunQuery

_WHEN = func.coalesce(RunRecord.finished_at, RunRecord.started_at, RunRecord.queued_at)


def runs_statement(query: RunQuery) -> Select[Any]:
    """Selects each run as one JSON object, newest first.

    Raises:
        InvalidError: for a uuid or cursor that is none.
    """
    row = func.to_jsonb(literal_column(RunRecord.__tablename__), type_=JSONB)
    statement = select(row).select_from(RunRecord)
    statement = statement.order_by(_WHEN.desc(), RunRecord.run_id.desc())
    if query.chain is not None:
        statement = statement.where(RunRecord.chain == query.chain)
    if query.status is not None:
        statement = statement.where(RunRecord.status == query.status)
    if query.vcon_uuid is not None:
        statement = statement.where(RunRecord.vcon_in == _uuid("vcon_uuid", query.vcon_uuid))
    if query.since is not None:
        statement = statement.where(query.since <= _WHEN)
    if query.cursor is not None:
        statement = statement.where(tuple_(_WHEN, RunRecord.run_id) < _position(query.cursor))
    return statement


def cursor_after(run: Run) -> str:
    """Where the page after this run begins."""
    when = run.finished_at or run.started_at or run.queued_at
    assert when is not None
    return f"{when.isoformat()}~{run.run_id}"


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
