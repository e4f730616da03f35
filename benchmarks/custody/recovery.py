"""How long a recovery takes after FLUSHALL, with requests coming in meanwhile.

.venv/bin/python -m benchmarks.custody.recovery [--rows 100000]
"""

import argparse
import asyncio
import time
import uuid
from contextlib import ExitStack, closing
from types import SimpleNamespace
from typing import Any

import orjson

from benchmarks.servers import servers
from core.concurrency.thread_pool import BoundedCalls
from core.db.custody import Custody, NewCustody
from core.db.database import Database
from core.db.usage_and_audit import PartnerRecords
from core.settings import DatabaseSettings
from pipeline.config.parser import Chain, PipelineConfig
from pipeline.custody.keeper import PostgresKeeper
from pipeline.ingest.entry import entry_of
from pipeline.ingest.intake import Intake
from pipeline.live_config import Configuration
from pipeline.plugins.loader import Plugins
from pipeline.recovery.factory import build_watch
from pipeline.redis_client.client import RedisConnection

BATCH = 500
SETTINGS: Any = SimpleNamespace(
    custody="postgres", vcon_sorted_set_name="vcons", vcon_redis_expiry=3600, run_expiry=60
)


def a_document(vcon_uuid: str) -> dict[str, Any]:
    """A vCon of about 2 kB."""
    return {
        "vcon": "0.4.0",
        "uuid": vcon_uuid,
        "created_at": "2026-11-21T12:00:00+00:00",
        "parties": [{"tel": "+15550100", "name": "Ann"}],
        "dialog": [],
        "analysis": [],
        "attachments": [{"body": "x" * 1500, "encoding": "none"}],
    }


def fill(database: Database, rows: int) -> None:
    """Open rows of one list."""
    custody = Custody(database)
    for _ in range(0, rows, BATCH):
        uuids = [str(uuid.uuid4()) for _ in range(BATCH)]
        items = [
            NewCustody(
                vcon_uuid=each,
                lists=["in"],
                document=orjson.dumps(a_document(each)),
                digest=each,
                terms=["tel:+15550100"],
            )
            for each in uuids
        ]
        custody.accept(items)


async def _nothing() -> None:
    """No run has ended."""


async def measured(url: str, database: Database, calls: BoundedCalls, rows: int) -> None:
    """Recover, and print the figures."""
    connection, records = RedisConnection(url), PartnerRecords(database)
    configuration = Configuration(
        PipelineConfig(chains={"main": Chain(name="main", ingress_lists=("in",))}), Plugins()
    )
    watch = build_watch(SETTINGS, records, connection, configuration, "bench", _nothing)
    assert watch is not None
    await watch.finish()
    await asyncio.to_thread(fill, database, rows)
    await connection.command("FLUSHALL")
    keeper = PostgresKeeper(Custody(database), calls)
    intake = Intake(connection, sorted_set="vcons", max_depth=10**9, keeper=keeper)
    accepted, is_over = 0, False

    async def ingest() -> None:
        nonlocal accepted
        while not is_over:
            vcon = entry_of(a_document(str(uuid.uuid4())), 10_000_000)
            await intake.ingest(vcon, ["in"])
            accepted += 1

    began = time.monotonic()
    callers = [asyncio.create_task(ingest()) for _ in range(4)]
    await watch.finish()
    seconds, is_over = time.monotonic() - began, True
    await asyncio.gather(*callers)
    depth = await connection.command("LLEN", "in")
    print(f"{rows:,} rows in {seconds:.1f} s ({rows / seconds:,.0f}/s); ", end="")
    print(f"{accepted:,} accepted meanwhile ({accepted / seconds:,.0f}/s); {depth:,} in the list")
    await connection.close()


def main() -> None:
    """Start both servers, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    with servers() as stack, ExitStack() as opened:
        stack.postgres.create_database("bench")
        database = Database()
        environment = stack.postgres.environment("bench")
        given = {name.lower(): value for name, value in environment.items()}
        database.initialize(DatabaseSettings(**given))  # type: ignore[arg-type]
        opened.callback(database.close)
        database.migrate()
        calls = opened.enter_context(
            closing(BoundedCalls("bench", threads=2, waiting=8, seconds=20.0))
        )
        asyncio.run(measured(stack.valkey.url, database, calls, rows))


if __name__ == "__main__":
    main()
