"""The real queue scripts, recording what workers settle."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import orjson

from pipeline.redis_client.client import RedisConnection
from pipeline.runs.queues import Claim, Queues, Record, Settlement

VCON_EXPIRY = 3600


@dataclass(frozen=True)
class Ended:
    """One attempt has ended: `how` is finish, later or return; `held` whether that counted."""

    how: str
    worker: str
    claim: Claim
    held: bool
    run: dict[str, Any]

    @property
    def status(self) -> str:
        """The run's status as it was written down."""
        return str(self.run["status"])

    @property
    def steps(self) -> list[tuple[str, str]]:
        """Name and outcome of each step."""
        return [(step["name"], step["outcome"]) for step in self.run["steps"]]


class RecordingQueues(Queues):
    """The real queues, which also record each settlement."""

    def __init__(
        self, redis: RedisConnection, ended: asyncio.Queue[Ended], *, gated: bool = False
    ) -> None:
        super().__init__(redis, run_expiry=600, vcon_expiry=VCON_EXPIRY, gated=gated)
        self._ended = ended

    async def finish(self, worker: str, claim: Claim, settlement: Settlement) -> bool:
        held = await super().finish(worker, claim, settlement)
        return self._record("finish", worker, claim, held, settlement.record)

    async def retry_later(self, worker: str, claim: Claim, record: Record, seconds: float) -> bool:
        held = await super().retry_later(worker, claim, record, seconds)
        return self._record("later", worker, claim, held, record)

    async def set_aside(self, worker: str, claim: Claim, record: Record, seconds: float) -> bool:
        held = await super().set_aside(worker, claim, record, seconds)
        return self._record("aside", worker, claim, held, record)

    async def give_back(self, worker: str, claim: Claim, record: Record) -> bool:
        held = await super().give_back(worker, claim, record)
        return self._record("return", worker, claim, held, record)

    def _record(self, how: str, worker: str, claim: Claim, held: bool, record: Record) -> bool:
        journal = orjson.loads(record.journal)
        self._ended.put_nowait(Ended(how, worker, claim, held, journal))
        return held
