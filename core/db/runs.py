"""The history of chain runs in Postgres: written in batches, read by id or page, pruned by age.

A page continues after the end and id of the last run of the page before. New runs neither shift nor
slow down a page, as a count of rows would. Only finished runs are listed, so the index on their end
gives the order.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, literal_column, make_url, or_, select, text, tuple_
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from core.db.database import Database
from core.db.failure_causes import read_causes, write_causes
from core.db.law.endings import MEMBER, write_endings
from core.db.partitions import AHEAD, Partitions
from core.db.tables import RunRecord
from core.db.vcon_index import IndexChange, write_changes
from core.db.vcon_owners import OURS
from core.errors import ConflictError, InvalidError
from core.observability.storable_text import storable_json
from core.run_ids import OLD, day_of
from schemas.operator.failures import RecordedCause
from schemas.operator.tail import TailQuery
from schemas.run import Run
from schemas.run_page import RunPage, RunQuery


def runs_statement(query: RunQuery) -> Select[Any]:
    """Select finished runs as JSON objects, newest first.

    The runs of a vCon are those with it as input or output. A time without a zone is in UTC.

    Raises:
        InvalidError: for a uuid or cursor that is not valid.
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
        statement = statement.where(place < tuple_(*position(query.cursor)))
    return statement


def cursor_after(run: Run) -> str:
    """The cursor of the page after this run."""
    assert run.finished_at is not None
    return f"{run.finished_at.isoformat()}~{run.run_id}"


def ended_statement(query: TailQuery) -> Select[Any]:
    """Select finished runs as JSON objects: the first ones after the cursor, or the last ones."""
    row = func.to_jsonb(literal_column(RunRecord.__tablename__), type_=JSONB)
    place = tuple_(RunRecord.finished_at, RunRecord.run_id)
    statement = select(row).select_from(RunRecord).where(RunRecord.finished_at.is_not(None))
    if query.chain is not None:
        statement = statement.where(RunRecord.chain == query.chain)
    if query.since is not None:
        statement = statement.where(RunRecord.finished_at >= query.since)
    if query.failed:
        statement = statement.where(RunRecord.status.in_(("failed", "partial")))
    if query.after is None:
        statement = statement.order_by(RunRecord.finished_at.desc(), RunRecord.run_id.desc())
    else:
        statement = statement.where(place > tuple_(*position(query.after)))
        statement = statement.order_by(RunRecord.finished_at, RunRecord.run_id)
    return statement.limit(query.limit + 1)


def position(cursor: str) -> tuple[datetime, UUID]:
    """The end and id of the run at a cursor; a time without a zone is in UTC.

    Raises:
        InvalidError: it is not valid.
    """
    when, _, run_id = cursor.partition("~")
    try:
        moment = datetime.fromisoformat(when)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC), UUID(run_id)
    except ValueError:
        msg = "cursor: use the cursor of an earlier page as it is"
        raise InvalidError(msg) from None


def _uuid(field: str, text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        msg = f"{field}: {text[:80]!r} is not a uuid"
        raise InvalidError(msg) from None


# A batch is one statement with one parameter, a JSON array. Measured: 3 us of CPU a row here and
# 22 us in Postgres; an array per column or a statement per row cost ten times as much here.
#
# The newest state of a run wins: the higher attempt, then the higher fencing token, then the later
# end (not finished is earliest).
# Runs are written in the order of their ids, so two replicas that write the same cannot deadlock.
# The second INSERT is for those that were there before: a partitioned table does not tell by `xmax`
# which rows are new.
#
# An input or output vCon without an owner, queued by another program or renamed by a link, becomes
# the service's own when its run is recorded. That row is not confirmed, because a later report of
# Redis on the request that created the vCon has precedence.
_WRITE = """
WITH owned AS (
    INSERT INTO vcon_owners (vcon_uuid, lineage, created_at, confirmed)
    SELECT vcon_in, CAST(%(ours)s AS uuid), now(), false
    FROM jsonb_to_recordset(CAST(%(runs)s AS jsonb)) AS run (vcon_in uuid)
    UNION SELECT vcon_out, CAST(%(ours)s AS uuid), now(), false
    FROM jsonb_to_recordset(CAST(%(runs)s AS jsonb)) AS run (vcon_out uuid)
    ORDER BY 1
    ON CONFLICT DO NOTHING
), newest AS MATERIALIZED (
    SELECT DISTINCT ON (run_id) {names}
    FROM jsonb_to_recordset(CAST(%(runs)s AS jsonb)) AS run ({columns})
    ORDER BY run_id, attempts DESC, token DESC NULLS LAST, finished_at DESC NULLS LAST
), added AS (
    INSERT INTO chain_runs ({names}) SELECT {names} FROM newest ORDER BY run_id
    ON CONFLICT DO NOTHING RETURNING run_id, status
), changed AS (
    INSERT INTO chain_runs ({names}) SELECT {names} FROM newest
    WHERE run_id NOT IN (SELECT run_id FROM added) ORDER BY run_id
    ON CONFLICT (run_id, recorded_on) DO UPDATE SET {changes}
    WHERE (excluded.attempts, coalesce(excluded.token, 0),
            coalesce(excluded.finished_at, '-infinity'))
       >= (chain_runs.attempts, coalesce(chain_runs.token, 0),
            coalesce(chain_runs.finished_at, '-infinity'))
)
SELECT CAST(run_id AS text) FROM added WHERE status IN ('failed', 'partial')
"""

_FIND = text("""
SELECT to_jsonb(run) FROM chain_runs AS run
WHERE run_id = :run_id AND recorded_on = :recorded_on
""")

# Partitions by day are dropped as a whole (core/db/partitions.py): this is for runs without such a
# partition, and for what is left in one that could not be dropped.
#
# The owner outlives the run, and replaces a claim that was never confirmed.
_PRUNE = text("""
WITH pruned AS (
    DELETE FROM chain_runs WHERE run_id IN (
        SELECT run_id FROM chain_runs
        WHERE recorded_on NOT BETWEEN current_date - CAST(:days AS integer) - 1
                                  AND current_date + CAST(:ahead AS integer)
          AND (finished_at < now() - make_interval(days => :days)
            OR (finished_at IS NULL AND queued_at < now() - make_interval(days => :days)))
        LIMIT :batch
        FOR UPDATE SKIP LOCKED
    ) AND recorded_on NOT BETWEEN current_date - CAST(:days AS integer) - 1
                              AND current_date + CAST(:ahead AS integer)
    RETURNING run_id, vcon_in, vcon_out
), kept AS (
    INSERT INTO vcon_owners AS known (vcon_uuid, lineage, created_at)
    SELECT vcon_in, CAST(:ours AS uuid), now() FROM pruned
    UNION SELECT vcon_out, CAST(:ours AS uuid), now() FROM pruned ORDER BY 1
    ON CONFLICT (vcon_uuid) DO UPDATE SET lineage = excluded.lineage, confirmed = true
    WHERE NOT known.confirmed
), forgotten AS (
    DELETE FROM failure_causes WHERE fingerprint IN (
        SELECT fingerprint FROM failure_causes
        WHERE last_seen < now() - make_interval(days => :days)
        FOR UPDATE SKIP LOCKED
    )
)
SELECT run_id FROM pruned
""")


class RunHistory:
    """Finished and unfinished runs as rows. Every method blocks: call it in a thread.

    Every method raises `UnavailableError` when Postgres cannot be reached or is not migrated.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.partitions = Partitions(database)

    def write_runs(
        self, runs: Sequence[Mapping[str, Any]], changes: Sequence[IndexChange] = ()
    ) -> None:
        """Write runs, given as `Run.model_dump(mode="json")`, and the index, or nothing.

        May be repeated, in any order: an older state never replaces a newer one.

        Raises:
            InvalidError: when a value is missing or does not fit; nothing of the batch is written.
        """
        if not runs and not changes:
            return
        try:
            with self._database.transaction() as session:
                write_runs(session, runs)
                write_changes(session, changes)
                write_endings(session, runs)
        except ConflictError as error:  # the only conflict left by the upsert is a missing field
            raise InvalidError(str(error)) from None

    def find_run(self, run_id: str) -> Run | None:
        """The last recorded state of a run; None if unknown, or for an id that is no uuid."""
        key = _as_uuid(run_id)
        if key is None:
            return None
        with self._database.session() as session:
            row = session.scalar(_FIND, {"run_id": key, "recorded_on": day_of(key)})
        return None if row is None else Run.model_validate(row)

    def list_runs(self, query: RunQuery) -> RunPage:
        """One page of the runs that meet all conditions, newest first.

        Raises:
            InvalidError: for a cursor that is not valid.
        """
        limit = query.limit
        statement = runs_statement(query).limit(limit + 1)
        with self._database.session() as session:
            rows = session.scalars(statement).all()
        runs = [Run.model_validate(row) for row in rows[:limit]]
        more = len(rows) > limit
        return RunPage(runs=runs, cursor=cursor_after(runs[-1]) if more else None)

    def ended_runs(self, query: TailQuery) -> tuple[list[Run], bool]:
        """Runs in the order of their ends: the first ones after the cursor, or the last ones.

        Returns whether more follow, too.

        Raises:
            InvalidError: for a cursor that is not valid.
        """
        statement = ended_statement(query)
        with self._database.session() as session:
            runs = [Run.model_validate(row) for row in session.scalars(statement)]
        if query.after is None:
            return runs[: query.limit][::-1], False
        return runs[: query.limit], len(runs) > query.limit

    def recorded_causes(self, fingerprints: Sequence[str]) -> dict[str, RecordedCause]:
        """What is recorded of these causes of failures, by fingerprint."""
        with self._database.session() as session:
            return read_causes(session, fingerprints)

    def prune_runs(self, days: int, batch: int = 1000) -> int:
        """Delete runs that finished, or were queued and never finished, over `days` ago.

        Those with ids of these days are left to `Partitions.drop`. Causes of failures that were
        last seen that long ago are deleted, too.

        Returns their number. Each batch is a transaction, and skips rows locked by other writers.
        """
        total = 0
        while pruned := self._prune_batch(days, batch):
            total += pruned
            if pruned < batch:
                break
        return total

    def _prune_batch(self, days: int, batch: int) -> int:
        with self._database.transaction() as session:
            words = {"days": days, "batch": batch, "ours": OURS, "ahead": AHEAD}
            return len(session.execute(_PRUNE, words).all())


def write_runs(session: Session, runs: Sequence[Mapping[str, Any]]) -> None:
    """Write runs and the causes of their failures in a transaction of the caller."""
    failed = session.connection().exec_driver_sql(WRITE_RUNS, written(runs)).scalars()
    write_causes(session, runs, set(failed))


def written(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The parameters of `WRITE_RUNS`."""
    return {"runs": storable_json([_row(run) for run in runs]).decode(), "ours": OURS}


def _row(run: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the columns; a run whose id is no uuid is refused by Postgres."""
    key = _as_uuid(str(run.get("run_id")))
    row = {"recovered": False, **run, "recorded_on": str(OLD if key is None else day_of(key))}
    row.pop(MEMBER, None)
    return row


def _write_statement() -> str:
    columns = {column.name: column.type for column in RunRecord.__table__.columns}
    dialect = make_url("postgresql+psycopg://").get_dialect()()
    return _WRITE.format(
        names=", ".join(columns),
        columns=", ".join(f"{name} {kind.compile(dialect)}" for name, kind in columns.items()),
        changes=", ".join(f"{name} = excluded.{name}" for name in columns if name not in _KEY),
    )


_KEY = ("run_id", "recorded_on")
WRITE_RUNS = _write_statement()
"""Inserts or updates runs; returns the ids of failed ones that are new."""


def _as_uuid(run_id: str) -> UUID | None:
    try:
        return UUID(run_id)
    except ValueError:
        return None
