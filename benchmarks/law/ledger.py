"""Measures what the ledger adds to Postgres: deliveries, the batches of the history, the check.

    python -m benchmarks.law.ledger [--rounds 7] [--disk]

Each figure is a ratio against a floor in rounds between ours: the commit of one row, the same batch
of runs that tell the ledger nothing, and reading the rows that are checked. With `--disk` Postgres
waits for the disk at each commit.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count
from typing import Any
from uuid import uuid4

from benchmarks.servers import servers
from core.db.database import Database
from core.db.law.checking import LedgerRows
from core.db.law.deliveries import Deliveries, NewDelivery
from core.db.runs import RunHistory
from core.run_ids import new_run_id
from core.settings import DatabaseSettings
from pipeline.ledger.verification import verify

AT_ONCE, RUNS, STEPS = 100, 250, 4
_NUMBERS = count(1)


def _deliveries(items: int) -> list[NewDelivery]:
    digest = sha256(b"").hexdigest()
    given = [(str(uuid4()), new_run_id()) for _ in range(items)]
    return [
        NewDelivery(vcon, "storage", "s3", digest, chain="main", run_id=run_id)
        for vcon, run_id in given
    ]


def _run(vcon: str, run_id: str, told: dict[str, Any] | None) -> dict[str, Any]:
    at = datetime.now(UTC).isoformat()
    run: dict[str, Any] = {
        "run_id": run_id,
        "chain": "main",
        "vcon_in": vcon,
        "vcon_out": vcon,
        "status": "done",
    }
    run |= {"attempts": 1, "steps": [], "config_hash": "", "finished_at": at}
    return run if told is None else {**run, "law": told}


def _batch(deliveries: Deliveries, *, told: bool) -> list[dict[str, Any]]:
    """Runs of four steps each, which tell their outcomes."""
    items = [each for first in _deliveries(RUNS) for each in [first] * STEPS]
    ids = deliveries.begin(items) if told else []
    at = datetime.now(UTC).isoformat()
    runs = []
    for number, first in enumerate(items[::STEPS]):
        mine = ids[number * STEPS : (number + 1) * STEPS]
        law = {"digest": "", "versions": [], "ended": [[each, "ok", None, at] for each in mine]}
        runs.append(_run(first.vcon_uuid, str(first.run_id), law if told else None))
    return runs


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _one_row(database: Database) -> None:
    name = f"bench {next(_NUMBERS)}"
    database.at_once("INSERT INTO service_secrets VALUES (%(name)s, '', now())", {"name": name})


def _read(database: Database) -> int:
    statement = "SELECT * FROM law_events"
    with database.session() as session:
        return len(session.connection().exec_driver_sql(statement).all())


def figures(database: Database, rounds: int) -> Iterator[str]:
    """The ratios, medians of interleaved rounds."""
    deliveries, history = Deliveries(database), RunHistory(database)
    given: list[float] = []
    one: list[float] = []
    told: list[float] = []
    plain: list[float] = []
    for _ in range(rounds):
        items = _deliveries(AT_ONCE)
        given.append(_seconds(lambda items=items: deliveries.begin(items)))  # type: ignore[misc]
        one.append(_seconds(lambda: _one_row(database)))
        for kept, is_told in ((told, True), (plain, False)):
            runs = _batch(deliveries, told=is_told)
            kept.append(_seconds(lambda runs=runs: history.write_runs(runs)) / RUNS)  # type: ignore[misc]
    yield _line(f"{AT_ONCE} deliveries in one commit", given, "of the commit of one row", one)
    yield _line(f"a run of {STEPS} deliveries in its batch", told, "of one without", plain)
    checked, read = [], []
    for _ in range(rounds):
        checked.append(_seconds(lambda: verify(LedgerRows(database))))
        read.append(_seconds(lambda: _read(database)))
    events = _read(database)
    yield _line(f"a check of {events:,} events", checked, "of reading them", read)


def _line(name: str, ours: list[float], floor: str, theirs: list[float]) -> str:
    mine, base = statistics.median(ours), statistics.median(theirs)
    return f"{name:38} {mine * 1e3:9.3f} ms  {mine / base:6.1f} {floor} ({base * 1e3:.3f} ms)"


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--disk", action="store_true")
    words = parser.parse_args()
    with servers(disk=words.disk) as stack:
        stack.postgres.create_database("ledger")
        values = stack.postgres.environment("ledger").items()
        named = {name.lower(): value for name, value in values}
        database = Database()
        database.initialize(DatabaseSettings(environment="test", **named))  # type: ignore[arg-type]
        database.migrate()
        for line in figures(database, words.rounds):
            print(line)
        database.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
