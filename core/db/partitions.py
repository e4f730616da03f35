"""Partitions by day: made ahead, and dropped when all in them is older than it is kept.

A partition is `{table}_{YYYYMMDD}`. `{table}_other` takes rows of days without one: of a clock that
is wrong, or of a day whose partition is gone. `chain_runs_before` has runs whose ids tell no day.

Every replica may do it at once: each step is a short transaction under a lock. It waits for a table
for at most `_PATIENCE`, because others wait behind it, and is tried again.
"""

import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from core.db.database import Database
from core.db.vcon_owners import confirm_owners_of
from core.errors import UnavailableError

AHEAD = 7
"""Days after today that have a partition."""
_LOCK = 0x7061_7274_6974_696F  # arbitrary, the same in every replica and version
_PATIENCE = "100ms"
_TRIED_FOR, _PAUSE = 10.0, 0.1  # seconds
_BATCH = 1000
_BEGIN = f"SET LOCAL lock_timeout = '{_PATIENCE}'"


@dataclass(frozen=True, slots=True)
class ByDay:
    """A table partitioned by day; the conditions are about rows older than `:days`."""

    name: str
    column: str
    needed: Sequence[str]
    """Rows that are still needed: each of these keeps a partition from being dropped."""
    needed_later: Sequence[str] = ()
    """Further ones that no index finds. A row can stop to be one, and not become one."""
    bounds: str = "('{0}') TO ('{1}')"


_LIMIT = "now() - make_interval(days => :days)"
CHAIN_RUNS = ByDay(
    "chain_runs",
    "recorded_on",
    needed=[f"finished_at >= {_LIMIT}", f"finished_at IS NULL AND queued_at >= {_LIMIT}"],
)
CUSTODY = ByDay(
    "custody",
    "accepted_at",
    needed=["released_at IS NULL"],
    needed_later=[f"released_at >= {_LIMIT}"],
    bounds="('{0} 00:00+00') TO ('{1} 00:00+00')",
)
TABLES = (CHAIN_RUNS, CUSTODY)

_DAY = re.compile(r"\w+_(\d{8})")

_PRESENT = text("""
SELECT part.relname FROM pg_inherits
JOIN pg_class AS part ON part.oid = inhrelid WHERE inhparent = to_regclass(:name)
ORDER BY 1
""")

_DELETE_RELEASED = f"""
DELETE FROM {{name}} WHERE ctid IN (
    SELECT ctid FROM {{name}} WHERE released_at < {_LIMIT} LIMIT {_BATCH} FOR UPDATE SKIP LOCKED
) RETURNING 1
"""  # noqa: S608 -- constant names
# Only rows of requests are left over (`core.db.custody`): their process ended between a commit and
# the next step, and the request came again. They are void as long as the other row is there, so
# they are closed before it is dropped. A request that is being handled may still delete its row.
_CLOSE_VOID = text(f"""
WITH page AS MATERIALIZED (
    SELECT accepted_at, number, vcon_uuid, open, digest FROM custody
    WHERE released_at IS NULL AND (accepted_at, number) > (:time, :number)
        AND accepted_at < now() - interval '1 hour' AND run_id IS NULL AND state IS NULL
    ORDER BY accepted_at, number LIMIT {_BATCH} FOR UPDATE
), void AS (
    SELECT accepted_at, number FROM page WHERE NOT EXISTS (
        SELECT FROM unnest(open) AS place WHERE NOT EXISTS (
            SELECT FROM custody AS later WHERE later.vcon_uuid = page.vcon_uuid
                AND later.number > page.number AND place = ANY (later.lists)
                AND later.accepted_at < now() - interval '1 hour'
        ) AND coalesce((
            SELECT before.digest <> page.digest OR before.token IS NULL
                OR place = ANY (before.open) OR before.outcome NOT IN ('done', 'halted', 'partial')
                OR before.released_at < page.accepted_at
            FROM custody AS before WHERE before.vcon_uuid = page.vcon_uuid
                AND before.number < page.number AND place = ANY (before.lists)
            ORDER BY before.number DESC LIMIT 1
        ), true)
    )
), closed AS (
    UPDATE custody SET open = '{{}}', document = NULL, released_at = now(), outcome = 'void'
    FROM void WHERE custody.accepted_at = void.accepted_at AND custody.number = void.number
)
SELECT accepted_at, number FROM page ORDER BY accepted_at, number OFFSET {_BATCH - 1}
""")  # noqa: S608 -- constant numbers
_IS_LEFT_EMPTY = text("""
SELECT pg_relation_size('chain_runs_before') < 1000000
   AND pg_indexes_size('chain_runs_before') > 10000000
   AND NOT EXISTS (SELECT FROM chain_runs_before)
""")


def is_partitioned(connection: Connection, table: str) -> bool:
    """Whether the table is partitioned in this database; that depends on its revision."""
    kind = text("SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass(:name)")
    return bool(connection.scalar(kind, {"name": table}))


def make_partition(connection: Connection, table: ByDay, day: date) -> None:
    """Make the partition of a day in this transaction, with the rows of `{table}_other` for it."""
    for statement in statements(table, day):
        connection.exec_driver_sql(statement)


def statements(table: ByDay, day: date) -> Sequence[str]:
    """What makes the partition of a day."""
    name = _name(table, day)
    begin, end = day, day + timedelta(days=1)
    bounds = table.bounds.format(begin, end)
    return (
        f"LOCK TABLE ONLY {table.name} IN SHARE UPDATE EXCLUSIVE MODE",
        f"LOCK TABLE {table.name}_other IN ACCESS EXCLUSIVE MODE",
        f"CREATE TABLE {name} (LIKE {table.name} INCLUDING ALL)",
        f"WITH moved AS (DELETE FROM {table.name}_other WHERE {_within(table, begin, end)}"  # noqa: S608 -- constant names
        f" RETURNING *) INSERT INTO {name} SELECT * FROM moved",
        f"ALTER TABLE {table.name} ATTACH PARTITION {name} FOR VALUES FROM {bounds}",
    )


def missing_statements(present: Collection[str], table: ByDay, past: int) -> Iterator[str]:
    """What makes the partitions of so many past days, and of the next ones, but for these."""
    today = datetime.now(UTC).date()
    for number in range(-past, AHEAD + 1):
        if _name(table, today + timedelta(number)) not in present:
            yield from statements(table, today + timedelta(number))


def _within(table: ByDay, begin: date, end: date) -> str:
    first, last = table.bounds.format(begin, end).split(" TO ")
    return f"{table.column} >= {first} AND {table.column} < {last}"


class Partitions:
    """Makes and drops the partitions. Every method blocks: call it in a thread.

    Every method raises `UnavailableError` when Postgres cannot be reached, or others lock a table
    for seconds.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, days: Mapping[str, int]) -> list[str]:
        """Make those of the next days, and drop those older than so many days, by table.

        Returns the names of those that were dropped.
        """
        self.make()
        tables = (each for each in TABLES if each.name in days)
        return [name for table in tables for name in self.drop(table, days[table.name])]

    def make(self, today: date | None = None) -> None:
        """Make the partitions of today and of the days after it that are missing."""
        first = today or datetime.now(UTC).date()
        for table in TABLES:
            missing = {first + timedelta(days=number) for number in range(AHEAD + 1)}
            for day in sorted(missing - set(self.days(table))) if self._exists(table) else ():
                self._patiently(partial(_make, table, day))

    def drop(self, table: ByDay, days: int) -> list[str]:
        """Drop the partitions in which each row is older than so many days; their names.

        The vCons of these runs keep their owners, which are confirmed two days before, in slices.
        """
        if table is CUSTODY:
            self._close_void()
        today = datetime.now(UTC).date()
        old = today - timedelta(days)
        dropped = []
        for day in self.days(table):
            if table is CHAIN_RUNS and day < min(old + timedelta(2), today - timedelta(1)):
                self.confirm_owners(day)
            if day < old and self.drop_day(table, day, days):
                dropped.append(_name(table, day))
        if table is CUSTODY:
            self._delete_released(days)
        elif self._exists(table):
            self._patiently(_free_before)
        return dropped

    def _exists(self, table: ByDay) -> bool:
        """Whether it is there and partitioned, which depends on the revision of the database."""
        with self._database.session() as session:
            return is_partitioned(session.connection(), table.name)

    def days(self, table: ByDay) -> list[date]:
        """The days that have a partition, in order."""
        with self._database.session() as session:
            names = session.scalars(_PRESENT, {"name": table.name}).all()
        found = (_DAY.fullmatch(name) for name in names)
        return [date.fromisoformat(each[1]) for each in found if each]

    def drop_day(self, table: ByDay, day: date, days: int) -> bool:
        """Drop the partition of a day, unless a row in it is needed; whether it was dropped."""
        name = _name(table, day)
        with self._database.session() as session:
            session.execute(text(_BEGIN))
            if _has(session, name, [*table.needed, *table.needed_later], days):
                return False

        def work(session: Session) -> bool:
            session.execute(text(f"LOCK TABLE ONLY {table.name} IN ACCESS EXCLUSIVE MODE"))
            there = session.scalar(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": name})
            if not there or _has(session, name, table.needed, days):
                return False
            session.execute(text(f"DROP TABLE {name}"))
            return True

        return self._patiently(work)

    def confirm_owners(self, day: date) -> None:
        """Confirm the owners of a day's vCons, unless that was done after its last run.

        The partition's comment has the time.
        """
        name = _name(CHAIN_RUNS, day)
        with self._database.session() as session:
            if _is_confirmed(session, name):
                return
            now = session.scalar(text("SELECT CAST(now() AS text)"))
        after: str | None = str(UUID(int=0))
        while after is not None:
            with self._database.transaction() as session:
                after = confirm_owners_of(session, name, after)
        self._patiently(partial(_run, f"COMMENT ON TABLE {name} IS '{now}'"))

    def _close_void(self) -> None:
        """Close rows of custody that another one has made void."""
        last: Any = (datetime.fromisoformat("0001-01-02T00:00:00+00:00"), 0)
        while last is not None and self._exists(CUSTODY):
            with self._database.transaction() as session:
                words = {"time": last[0], "number": last[1]}
                last = session.execute(_CLOSE_VOID, words).one_or_none()

    def _delete_released(self, days: int) -> None:
        """Delete the old rows of custody that are in a partition with others."""
        today = datetime.now(UTC).date()
        old = [day for day in self.days(CUSTODY) if day < today - timedelta(days)]
        others = [f"{CUSTODY.name}_other"] if self._exists(CUSTODY) else []
        for name in [*(_name(CUSTODY, day) for day in old), *others]:
            deleted = _BATCH
            while deleted == _BATCH:
                with self._database.transaction() as session:
                    statement = text(_DELETE_RELEASED.format(name=name))
                    deleted = len(session.execute(statement, {"days": days}).all())

    def _patiently[T](self, work: Callable[[Session], T]) -> T:
        """Do it in a transaction that waits shortly for locks, and again when it gets none."""
        end = time.monotonic() + _TRIED_FOR
        while True:
            try:
                with self._database.transaction() as session:
                    session.execute(text(_BEGIN))
                    session.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
                    return work(session)
            except UnavailableError:
                if time.monotonic() > end:
                    raise
                time.sleep(_PAUSE)


def _name(table: ByDay, day: date) -> str:
    return f"{table.name}_{day:%Y%m%d}"


def _make(table: ByDay, day: date, session: Session) -> None:
    present = session.scalars(_PRESENT, {"name": table.name})
    if _name(table, day) not in set(present):  # another replica may have made it
        make_partition(session.connection(), table, day)


def _run(statement: str, session: Session) -> None:
    session.execute(text(statement))


def _has(session: Session, name: str, conditions: Sequence[str], days: int) -> bool:
    session.execute(text("SET LOCAL enable_seqscan = off"))  # with statistics of yesterday, too
    found = " OR ".join(f"EXISTS (SELECT FROM {name} WHERE {each})" for each in conditions)
    return bool(session.scalar(text(f"SELECT {found}"), {"days": days}))


def _is_confirmed(session: Session, name: str) -> bool:
    comment = session.scalar(text("SELECT obj_description(to_regclass(:name))"), {"name": name})
    try:
        when = datetime.fromisoformat(comment)
    except (TypeError, ValueError):  # none, or an operator's
        return False
    return not session.scalar(
        text(f"SELECT EXISTS (SELECT FROM {name} WHERE finished_at >= :when)"),  # noqa: S608 -- constant names
        {"when": when},
    )


def _free_before(session: Session) -> None:
    """Free the indexes of the partition of old rows, once vacuum has freed these."""
    if session.scalar(_IS_LEFT_EMPTY):
        session.execute(text("LOCK TABLE chain_runs_before IN ACCESS EXCLUSIVE MODE"))
        if session.scalar(_IS_LEFT_EMPTY):
            session.execute(text("TRUNCATE chain_runs_before"))
