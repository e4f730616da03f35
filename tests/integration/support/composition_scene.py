"""What the tests of a composition share: the parts of a replica at work, without its workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redis import Redis

from core.db.database import Database
from core.db.usage_and_audit import PartnerRecords
from core.settings import Settings
from pipeline.admin.housekeeping import INTERVALS, Intervals
from pipeline.composition import PipelineComposition
from pipeline.redis_client import client as connection
from pipeline.redis_client import keys
from pipeline.runs.queues import Queues
from tests.integration.support.pipeline_fixtures import new_uuid

PATIENCE = 60.0  # seconds; a ceiling, reached only when something is broken


class Pruned:
    """A history of which only the pruning is of interest."""

    def __init__(self) -> None:
        self.days: list[int] = []

    def prune_runs(self, days: int) -> int:
        """Remember what was asked for."""
        self.days.append(days)
        return 0


def partner_records(settings: Settings) -> PartnerRecords:
    """Records in an unreachable Postgres."""
    database = Database()
    database.initialize(settings)
    return PartnerRecords(database)


class Opened:
    """A front at work."""

    def __init__(self, settings: Settings, client: Redis, intervals: Intervals = INTERVALS) -> None:
        self.history, self.client = Pruned(), client
        self.changes = asyncio.Event()
        self.front = PipelineComposition(
            settings,
            self.history,  # type: ignore[arg-type]
            partner_records(settings),
            self._changed,
            intervals=intervals,
        )
        self.queues = Queues(self.front.connection, run_expiry=60, vcon_expiry=60)

    async def _changed(self) -> None:
        self.changes.set()

    async def claimed(self, worker: str) -> str:
        """A worker that has a lease holds a vCon; its uuid."""
        self.client.rpush("in", vcon_uuid := new_uuid())
        self.client.sadd(keys.WORKERS, worker)
        self.client.set(keys.worker(worker), 1)
        assert len((await self.queues.claim(worker, 1, ["in"])).claims) == 1
        return vcon_uuid

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until a condition holds in Redis."""
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 -- Redis has no event for it
                await asyncio.sleep(0.005)


def settings(config: Path, redis_url: str, **changes: Any) -> Settings:
    """Settings with short intervals, and with changes."""
    postgres = {f"postgres_{each}": "x" for each in ("host", "user", "password")}
    names = {f"postgres_db_{each}": "x" for each in ("development", "test", "production")}
    return Settings(
        **postgres,
        **names,
        postgres_port=1,
        websocket_url="ws://plugboard",
        token="x",
        conserver_config_file=config,
        redis_url=redis_url,
        sweep_interval=0.01,
        lease_seconds=0.03,
        run_retention_days=7,
        **changes,
    )


@asynccontextmanager
async def at_work(
    config: Path, redis_url: str, intervals: Intervals = INTERVALS, **changes: Any
) -> AsyncIterator[Opened]:
    """A front at work, with changes of its settings, until it is closed."""
    with Redis.from_url(redis_url, decode_responses=True) as client:
        opened = Opened(settings(config, redis_url, **changes), client, intervals)
        running = asyncio.create_task(opened.front.run())
        yield opened
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await opened.front.close()
    connection._installed.clear()
