"""Measures the history of runs at size: queries of operators, inserts, and pruning a day.

    python -m benchmarks.history [--runs 300000] [--days 30] [--random-vcons]

So many runs are generated in Postgres, in a partition for each day up to today, of 20 chains, one
in 200 failed, all of one chain, with three steps each, and the owner of each vCon, whose id begins
with the time (UUID version 8) unless `--random-vcons`. Each query has other values each time.
Inserts are batches of 500, as the service writes them, in turn into this history and into an empty
one in another database of the same server. 100 million runs take about 80 GB.
"""

import argparse
import json
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text

from benchmarks.servers import servers
from core.db.database import Database
from core.db.partitions import CHAIN_RUNS, Partitions
from core.db.runs import RunHistory, cursor_after
from core.db.vcon_owners import OURS, VconOwners
from core.run_ids import new_run_id
from core.settings import DatabaseSettings
from devstack.servers.postgres import Postgres
from schemas.operator.tail import TailQuery
from schemas.run import Run
from schemas.run_page import RunQuery

BATCH, ROUNDS, REPETITIONS = 500, 40, 20
STEPS = """[{"name": "tag", "kind": "link", "outcome": "ok", "seconds": 0.012, "error": null},
 {"name": "summary", "kind": "link", "outcome": "ok", "seconds": 1.5, "error": null},
 {"name": "s3", "kind": "storage", "outcome": "ok", "seconds": 0.08, "error": null}]"""

# Ids begin with the time; the rest is random.
ID = """CAST(lpad(to_hex(CAST(:begin + number * :apart AS bigint)), 12, '0') || '{version}'
    || substr(rest, 16, 3) || '8' || substr(rest, 21, 3) || substr(rest, 25, 12) AS uuid)"""
FILL = """
INSERT INTO {table} (run_id, chain, config_hash, vcon_in, vcon_out, ingress_list, status, attempts,
  steps, error, worker, queued_at, started_at, finished_at, recorded_on)
SELECT run, 'chain' || number % 20, 'c0ffee', vcon, vcon, 'in' || number % 20,
  CASE WHEN number % 200 = 7 THEN 'failed' ELSE 'done' END, 1, CAST(:steps AS jsonb),
  CASE WHEN number % 200 = 7 THEN 'link summary: TimeoutError: 30 s' END, 'host-1:17', at, at,
  at + make_interval(secs => 1 + number % 60), :day
FROM (SELECT number, {run} AS run, {vcon} AS vcon,
    to_timestamp((:begin + number * :apart) / 1000) AS at
  FROM (SELECT number, CAST(gen_random_uuid() AS text) AS rest
    FROM generate_series(0, :count - 1) AS number) AS numbers) AS each
"""
INDEXES = """
SELECT 'CREATE INDEX ON {table} ' || substring(pg_get_indexdef(indexrelid) FROM 'USING.*')
FROM pg_index WHERE indrelid = CAST('chain_runs' AS regclass) AND NOT indisprimary
"""
MEMORY = "SET LOCAL maintenance_work_mem = '1GB'"


def fill_day(database: Database, day: date, count: int, vcon: str) -> None:
    """Make and fill the partition of a day, and the owners of its vCons."""
    begin = datetime.combine(day, datetime.min.time(), UTC).timestamp() * 1000
    end = min(begin + 86_400_000, time.time() * 1000) - 61_000  # when the last one is queued
    words = {"begin": begin, "apart": (end - begin) / count, "count": count}
    name, until = f"chain_runs_{day:%Y%m%d}", day + timedelta(days=1)
    with database.engine.begin() as connection:
        execute = connection.exec_driver_sql
        execute(MEMORY)
        execute(f"CREATE TABLE {name} (LIKE chain_runs INCLUDING DEFAULTS)")
        fill = text(FILL.format(table=name, run=ID.format(version=7), vcon=vcon))
        connection.execute(fill, words | {"steps": STEPS, "day": day})
        execute(f"ALTER TABLE {name} ADD PRIMARY KEY (run_id, recorded_on)")
        for index in connection.scalars(text(INDEXES.format(table=name))).all():
            execute(index)
        execute(
            f"INSERT INTO vcon_owners (vcon_uuid, lineage, created_at, confirmed)"  # noqa: S608 -- constant names
            f" SELECT vcon_in, '{OURS}', now(), false FROM {name}"
        )
        bounds = f"FROM ('{day}') TO ('{until}')"
        execute(f"ALTER TABLE chain_runs ATTACH PARTITION {name} FOR VALUES {bounds}")


def fill(database: Database, runs: int, days: int, vcon: str) -> None:
    """Fill the partitions, the oldest one first."""
    today = datetime.now(UTC).date()
    with database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE vcon_owners DROP CONSTRAINT pk_vcon_owners")
        connection.exec_driver_sql("DROP INDEX ix_vcon_owners_created_at")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        past = [today - timedelta(days=number) for number in reversed(range(days))]
        list(pool.map(lambda day: fill_day(database, day, runs // days, vcon), past))
    with database.engine.begin() as connection:
        connection.exec_driver_sql(MEMORY)
        connection.exec_driver_sql(
            "ALTER TABLE vcon_owners ADD CONSTRAINT pk_vcon_owners PRIMARY KEY (vcon_uuid)"
        )
        connection.exec_driver_sql("CREATE INDEX ON vcon_owners (created_at)")
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as open_:
        open_.exec_driver_sql("VACUUM ANALYZE chain_runs")
        open_.exec_driver_sql("VACUUM ANALYZE vcon_owners")
        open_.exec_driver_sql("CHECKPOINT")


def some_runs(database: Database, count: int) -> list[Run]:
    """Runs of all days, each the first one after a random moment."""
    days = [day for day in Partitions(database).days(CHAIN_RUNS) if day <= datetime.now(UTC).date()]
    row = text(
        "SELECT to_jsonb(run) FROM chain_runs AS run WHERE recorded_on = :day"
        " AND run_id > :after ORDER BY run_id LIMIT 1"
    )
    found = []
    with database.session() as session:
        for number in range(count):
            day = days[number * 7 % len(days)]
            begin = int(datetime.combine(day, datetime.min.time(), UTC).timestamp() * 1000)
            after = UUID(int=begin + random.randrange(1_000_000) << 80)
            found.append(Run.model_validate(session.scalar(row, {"day": day, "after": after})))
    return found


def queries(database: Database) -> Iterator[tuple[str, Callable[[Run], Any]]]:
    """What operators and partners ask for, by a run that has the values."""
    history, owners = RunHistory(database), VconOwners(database)

    def of(**conditions: Any) -> Any:
        return history.list_runs(RunQuery(**conditions))

    yield "a run by id", lambda run: history.find_run(run.run_id)
    yield "the last runs", lambda _: of()
    yield "a page deep in the history", lambda run: of(cursor=cursor_after(run))
    yield "of a chain", lambda run: of(chain=run.chain)
    yield "of a chain, a page deep in it", lambda run: of(chain=run.chain, cursor=cursor_after(run))
    yield "that failed", lambda _: of(status="failed")
    yield "that failed, of a chain", lambda run: of(status="failed", chain=run.chain)
    yield "that were cancelled (none)", lambda _: of(status="cancelled")
    yield "of a chain that has none", lambda _: of(chain=new_run_id())
    yield "since an hour", lambda _: of(since=datetime.now(UTC) - timedelta(hours=1))
    yield "of a vCon (why, timeline)", lambda run: of(vcon_uuid=run.vcon_in, limit=200)
    yield "of an unknown vCon", lambda _: of(vcon_uuid=str(uuid4()))
    yield "tail", lambda _: history.ended_runs(TailQuery())
    yield "tail --failed", lambda _: history.ended_runs(TailQuery(failed=True))
    yield "tail from a day on", lambda run: history.ended_runs(TailQuery(since=run.finished_at))
    yield (
        "tail of a chain, from a run on",
        lambda run: history.ended_runs(TailQuery(chain=run.chain, after=cursor_after(run))),
    )
    yield "a partner's claim of a vCon", lambda _: owners.claim({UUID(new_run_id()): uuid4()})


def milliseconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def batch(new_vcon: Callable[[], object]) -> list[dict[str, Any]]:
    """New runs, as workers report them."""
    steps = json.loads(STEPS)
    now = datetime.now(UTC)
    return [
        Run.model_validate(
            {
                "run_id": new_run_id(),
                "chain": f"chain{number % 20}",
                "status": "done",
                "vcon_in": (vcon := str(new_vcon())),
                "vcon_out": vcon,
                "steps": steps,
                "config_hash": "c0ffee",
                "ingress_list": f"in{number % 20}",
                "worker": "host-1:17",
                "queued_at": now,
                "started_at": now,
                "finished_at": now,
            }
        ).model_dump(mode="json")
        for number in range(BATCH)
    ]


def print_queries(database: Database) -> None:
    """The time of each, with other values each time."""
    runs = some_runs(database, REPETITIONS)
    print(f"\n| query | ms | at most, of {REPETITIONS} |\n|---|---|---|")
    for name, query in queries(database):
        took = [milliseconds(partial(query, run)) for run in runs]
        print(f"| {name} | {statistics.median(took):.1f} | {max(took):.1f} |", flush=True)


def print_inserts(filled: Database, empty: Database, new_vcon: Callable[[], object]) -> None:
    """The time of a batch in each of them, in turn, and the medians' ratio."""
    took: dict[Database, list[float]] = {filled: [], empty: []}
    for number in range(ROUNDS):
        for database in (filled, empty) if number % 2 else (empty, filled):
            write = partial(RunHistory(database).write_runs, batch(new_vcon))
            took[database].append(milliseconds(write))
    full, bare = (statistics.median(took[each]) for each in (filled, empty))
    print(
        f"\na batch of {BATCH} runs: {full:.1f} ms into this history, {bare:.1f} ms into an empty"
    )
    print(f"one: ratio {full / bare:.2f} (medians of {ROUNDS} in turn)", flush=True)


def print_pruning(database: Database, days: int) -> None:
    """The time to drop a day, and to confirm the owners of its vCons before."""
    partitions, first = Partitions(database), datetime.now(UTC).date() - timedelta(days=days - 1)
    confirming = milliseconds(partial(partitions.confirm_owners, first))
    again = milliseconds(partial(partitions.confirm_owners, first))
    dropping = milliseconds(partial(partitions.drop_day, CHAIN_RUNS, first, days - 2))
    assert first not in partitions.days(CHAIN_RUNS)
    print(f"\npruning a day: {dropping:.0f} ms; confirming its owners two days before:")
    print(f"{confirming / 1000:.1f} s in slices, {again:.1f} ms when it is done", flush=True)


@contextmanager
def opened(server: Postgres, name: str) -> Iterator[Database]:
    """A migrated database with the partitions of the next days."""
    server.create_database(name)
    os.environ.update(server.environment(name))
    database = Database()
    database.initialize(DatabaseSettings(environment="test", postgres_statement_timeout=3600))
    database.migrate()
    yield database
    database.close()


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=300_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--random-vcons", action="store_true", help="ids without a time")
    asked = parser.parse_args()
    vcon = "gen_random_uuid()" if asked.random_vcons else ID.format(version=8)
    with (
        servers() as stack,
        opened(stack.postgres, "history_benchmark") as filled,
        opened(stack.postgres, "empty_benchmark") as empty,
    ):
        seconds = milliseconds(partial(fill, filled, asked.runs, asked.days, vcon)) / 1000
        with filled.session() as session:
            size = session.scalar(text("SELECT pg_database_size(current_database())"))
        print(f"{asked.runs:,} runs of {asked.days} days: {seconds:.0f} s, {size / 1e9:.1f} GB")
        for database in (filled, empty):
            Partitions(database).make()
        print_queries(filled)
        print_inserts(filled, empty, uuid4 if asked.random_vcons else new_run_id)
        print_pruning(filled, asked.days)


if __name__ == "__main__":
    main()
