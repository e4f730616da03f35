"""Runs in the order of their ends, from a cursor on."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from core.db.runs import cursor_after, position
from core.operator_interfaces import Call, Operation
from pipeline.admin.run_archive import RunArchive
from pipeline.operator.parts import Parts
from schemas.operator.tail import EndedRun, Tail, TailQuery
from schemas.run import Run

TAIL = Operation("tail", "Runs as they end", TailQuery, Tail, people=True)
OVERLAP = timedelta(seconds=10)
"""Runs recorded this long after one that ended later are still shown."""
LONGEST = timedelta(minutes=5)
"""How far back a read begins where no run has ended since: it bounds the rows to look at."""


class TailView:
    """Reads from Postgres."""

    def __init__(self, parts: Parts) -> None:
        self._archive: RunArchive = parts.archive

    async def show(self, query: TailQuery, _call: Call) -> Tail:
        """The next runs; each answer is one read of an index.

        Raises:
            InvalidError: for a cursor that is not valid.
        """
        if query.after is None and query.since is not None:
            query = query.model_copy(update={"after": _from(query.since)})
        runs, more = await self._archive.ended_runs(query)
        cursor = cursor_after(runs[-1]) if more else _overlapping(query, runs)
        return Tail(runs=[ended(run) for run in runs], cursor=cursor, more=more)


def ended(run: Run) -> EndedRun:
    """A recorded run as it is shown; a failed step has the error of a run without one."""
    assert run.finished_at is not None
    errors = [step.error for step in run.steps if step.error]
    return EndedRun(
        at=run.finished_at,
        run=run.run_id,
        chain=run.chain,
        vcon=run.vcon_out,
        status=run.status,
        seconds=round(run.seconds, 3),
        attempts=run.attempts,
        error=run.error or (errors[-1] if errors and run.status != "done" else None),
    )


def _from(moment: datetime) -> str:
    known = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return f"{known.isoformat()}~{UUID(int=0)}"


def _overlapping(query: TailQuery, runs: list[Run]) -> str:
    """Some seconds before the last end; where none was found, the same cursor."""
    now = datetime.now(UTC)
    earliest = now - LONGEST
    if runs and (last := runs[-1].finished_at) is not None:  # a worker's clock may be ahead
        return _from(max(earliest, min(last, now) - OVERLAP))
    if query.after is None or position(query.after)[0] < earliest:
        return _from(earliest)
    return query.after
