"""Measures what the index of vCons in Postgres takes: bytes and time a vCon, time of a search.

    python -m benchmarks.vcon_index [--count 200000]

Each vCon has two parties, an agent (one of 50) and a customer, with a number and a name each. Notes
are read and written as the service does, 500 at once; then vCons are found by the number of a
customer and by that of an agent, whom one vCon in 50 has. Also printed: how long Redis works for a
note, beside a script that does nothing else; and how long the first number takes.
"""

import argparse
import asyncio
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from redis import Redis
from sqlalchemy import text

from benchmarks.servers import servers
from core.db.database import Database
from core.db.vcon_index import VconIndexRows
from core.settings import DatabaseSettings
from pipeline.redis_client.client import RedisConnection
from pipeline.stored.notes import PATHS, changes_of
from pipeline.stored.term_keys import TermKeys
from pipeline.vcon.party_terms import normal

BATCH, AGENTS = 500, 50
KEYS = TermKeys(("a secret of a benchmark",))
NOTE = '{"chain":"main","storages":["s3"]}'


def notes(count: int) -> Iterator[str]:
    """Notes about so many vCons."""
    for number in range(count):
        agent = number % AGENTS
        parties: dict[str, list[str]] = {
            "tel": [
                f"+1 201 555 {agent:04d}",
                f"(212) {number // 10000 + 200}-{number % 10000:04d}",
            ],
            "mailto": [],
            "name": [f"Agent {agent}", f"Customer Number {number}"],
        }
        members: dict[str, list[Any]] = {
            path: parties.get(path.rpartition(".")[2], []) for path in PATHS
        }
        members["$.created_at"] = [1_790_000_000 + number]
        ms = 1_790_000_000_000 + number
        yield f"{NOTE}\n{ms}\n{uuid4()}\n{json.dumps(members)}"


def batches(count: int) -> Iterator[Sequence[str]]:
    """The same, so many at once."""
    waiting: list[str] = []
    for each in notes(count):
        waiting.append(each)
        if len(waiting) == BATCH:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def timed[T](work: Callable[[], T]) -> tuple[float, T]:
    """Seconds, and the result."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def fill(rows: VconIndexRows, count: int) -> str:
    """Write the notes; what that took a vCon."""
    reading = writing = cpu = 0.0
    for batch in batches(count):
        before = time.process_time()
        seconds, changes = timed(partial(changes_of, batch, KEYS, "US"))
        reading += seconds
        seconds, _ = timed(partial(rows.write, changes))
        writing += seconds
        cpu += time.process_time() - before
    each = 1e6 / count
    return (
        f"normalise and hash {reading * each:.0f} us, write {writing * each:.0f} us,"
        f" CPU of the service {cpu * each:.0f} us"
    )


def sizes(database: Database, count: int) -> str:
    """Bytes a vCon of the table and its indexes."""
    names = ("vcon_index", "pk_vcon_index", "ix_vcon_index_terms", "ix_vcon_index_created_at")
    with database.session() as session:
        found = {
            name: session.scalar(
                text("SELECT pg_relation_size(CAST(:name AS regclass))"), {"name": name}
            )
            for name in names
        }
    told = ", ".join(f"{name} {size / count:.0f}" for name, size in found.items())
    return f"{sum(found.values()) / count:.0f} bytes: {told}"


def search(rows: VconIndexRows, number: str) -> str:
    """Time of the first pages of a number, in ms."""
    sought = KEYS.sought("tel", normal("tel", number, "US"))
    seconds: list[float] = []
    after: tuple[datetime, UUID] | None = None
    for _ in range(20):
        took, found = timed(partial(rows.find, sought, 50, after))
        seconds.append(took)
        after = (found[-1].created_at, UUID(found[-1].uuid)) if len(found) == 50 else None
    return f"{statistics.median(seconds) * 1000:.1f} ms, at most {max(seconds) * 1000:.1f}"


async def note_in_redis(client: Redis, url: str) -> str:
    """Microseconds of Redis for one note, from its own statistics."""
    connection = RedisConnection(url)
    parties = [{"tel": f"+1201555{n:04d}", "name": f"Party {n}"} for n in range(2)]
    dialog = [{"body": "x" * 5000}] * 4
    text = json.dumps({"created_at": "2026-11-21T12:00:00Z", "parties": parties, "dialog": dialog})
    client.json().set("vcon:x", ".", json.loads(text))
    took = {}
    for note in ("", NOTE):
        client.config_resetstat()
        for _ in range(3000):
            await connection.script("saved", "x", "0", note)
        took[note] = client.info("commandstats")["cmdstat_evalsha"]["usec_per_call"]
    await connection.close()
    size = int(client.memory_usage("pc:index", samples=0) or 0) / int(client.llen("pc:index"))
    return f"{took[NOTE] - took['']:.0f} us of Redis and {size:.0f} bytes a note"


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=200_000)
    count = parser.parse_args().count
    first, _ = timed(lambda: normal("tel", "+1 201 555 0123", "US"))
    print(f"the first number: {first * 1000:.0f} ms (metadata of numbering plans)")
    with servers() as stack:
        with Redis.from_url(stack.valkey.url, decode_responses=True) as client:
            print(f"the end of a run: {asyncio.run(note_in_redis(client, stack.valkey.url))}")
        os.environ.update(stack.postgres.environment("index_benchmark"))
        stack.postgres.create_database("index_benchmark")
        database = Database()
        database.initialize(DatabaseSettings(environment="test"))
        database.migrate()
        rows = VconIndexRows(database)
        print(f"a vCon: {fill(rows, count)}")
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as open_:
            open_.execute(text("VACUUM ANALYZE vcon_index"))
        print(f"a vCon: {sizes(database, count)}")
        print(f"a page of a customer's vCons: {search(rows, '(212) 200-0007')}")
        print(f"a page of an agent's vCons, one in {AGENTS}: {search(rows, '+12015550007')}")
        database.close()


if __name__ == "__main__":
    main()
