"""A worker whose claims are in custody of a real database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from redis import Redis

from core.concurrency.thread_pool import BoundedCalls
from core.db.custody import Custody
from core.db.database import Database
from core.db.settlements import Settlements
from pipeline.custody.keeper import PostgresKeeper
from pipeline.custody.settling import Settling
from pipeline.ingest.entry import Entry, entry_of
from pipeline.ingest.intake import Intake
from pipeline.live_config import Configuration
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.queues import Claim
from pipeline.worker.postgres_custody import PostgresCustody
from tests.integration.custody.approval import approve
from tests.integration.support.pipeline_fixtures import PATIENCE, Crew, Scene, a_vcon
from tests.integration.support.recording_queues import RecordingQueues

MOST_BYTES = 10_000_000


def rows(
    database: Database, columns: str = "lists, open, outcome", table: str = "custody"
) -> list[Any]:
    """These columns of all rows, in their order."""
    statement = f"SELECT {columns} FROM {table}"
    statement += " ORDER BY number" if table == "custody" else ""
    with database.transaction() as session:
        return [tuple(row) for row in session.connection().exec_driver_sql(statement)]


def runs(database: Database, columns: str = "status, token") -> list[Any]:
    """These columns of all recorded runs, in the order of their ends."""
    statement = f"SELECT {columns} FROM chain_runs ORDER BY finished_at"
    with database.transaction() as session:
        return [tuple(row) for row in session.connection().exec_driver_sql(statement)]


def an_entry(**changes: Any) -> Entry:
    """A vCon as it is accepted."""
    return entry_of(a_vcon() | changes, MOST_BYTES)


class CustodyScene(Scene):
    """Workers that commit to Postgres, and an intake that does."""

    def __init__(
        self, redis: RedisConnection, client: Redis, database: Database, calls: BoundedCalls
    ) -> None:
        super().__init__(redis, client)
        self.queues = RecordingQueues(redis, self.settled, gated=True)
        self.database = database
        self.calls = calls
        self.keeper = PostgresKeeper(Custody(database), calls)
        self.settling = Settling(Settlements(database), calls, self.keeper)
        self.intake = Intake(redis, sorted_set="vcons", max_depth=1000, keeper=self.keeper)
        self.approve()

    def approve(self, generation: int = 1) -> None:
        """What recovery does at its end."""
        approve(self.client, self.database, generation)

    def custody(self, name: str) -> PostgresCustody:
        """The custody of a worker."""
        return PostgresCustody(name, self.redis, self.queues, self.settling, "vcons")

    def hire(self, configuration: Configuration, name: str = "one", **how: Any) -> Crew:
        """The same, with custody."""
        return super().hire(configuration, name, custody=self.custody(name), **how)

    async def accept(self, *names: str, lists: Sequence[str] = ("in",)) -> str:
        """Take a vCon in; its uuid."""
        entry = an_entry()
        await self.intake.ingest(entry, names or lists)
        return entry.vcon_uuid

    async def claimed(self, worker: str = "dead", name: str = "in") -> Claim:
        """A claim of a worker that does nothing with it."""
        await self.redis.command("SET", f"pc:worker:{worker}", "1")
        [claim] = (await self.queues.claim(worker, 1, [name])).claims
        return claim

    async def dropped(self, caplog: pytest.LogCaptureFixture) -> None:
        """Wait until a worker has dropped a run that it no longer holds."""
        await self.logged(caplog, "run taken over")

    async def logged(self, caplog: pytest.LogCaptureFixture, text: str) -> None:
        """Wait until a worker has said so."""
        async with asyncio.timeout(PATIENCE):
            while text not in caplog.text:  # noqa: ASYNC110 -- a log line is no event
                await asyncio.sleep(0.01)

    def about(self, vcon_uuid: str) -> dict[str, str]:
        """The fields of custody in pc:about, by place."""
        found: dict[str, str] = self.client.hgetall(f"pc:about:{vcon_uuid}")
        pairs = (each for each in found.items() if each[0].startswith("custody:"))
        return {name.removeprefix("custody:"): value for name, value in pairs}
