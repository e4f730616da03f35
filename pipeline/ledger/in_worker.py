"""The ledger as a worker uses it: connected when a run of a chain with `custody` needs it."""

import asyncio
from typing import TYPE_CHECKING

from core.concurrency.thread_pool import BoundedCalls, in_own_thread
from core.settings import Settings
from pipeline.ledger.basis import NO_BASIS, Basis
from pipeline.ledger.received import LawInForce, no_law
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.run_state import RunState

if TYPE_CHECKING:
    from pipeline.ledger.deliveries import DeliveryLedger

SECONDS = 2.0
"""The most that a step waits for Postgres."""
THREADS, WAITING = 2, 8
"""Threads for calls to Postgres, and calls that may wait for them."""


class WorkerLedger:
    """Makes its parts at their first use, as most workers need none of them."""

    def __init__(
        self, settings: Settings, connection: RedisConnection, law: LawInForce = no_law
    ) -> None:
        self._settings = settings
        self._law = law
        self._connection = connection
        self._making = asyncio.Lock()
        self._deliveries: DeliveryLedger | None = None
        self._calls: BoundedCalls | None = None

    async def begin(self, live: RunState, kind: str, name: str, basis: Basis = NO_BASIS) -> None:
        """See `DeliveryLedger`."""
        await (await self._made()).begin(live, kind, name, basis)

    async def note_last(self, live: RunState) -> None:
        """See `DeliveryLedger`."""
        await (await self._made()).note_last(live)

    async def _made(self) -> "DeliveryLedger":
        async with self._making:
            if self._deliveries is None:
                self._deliveries = await in_own_thread(self._make)
            return self._deliveries

    def _make(self) -> "DeliveryLedger":
        # the drivers of Postgres take a third of a worker's start
        from core.db.database import database  # noqa: PLC0415
        from core.db.law.deliveries import Deliveries  # noqa: PLC0415
        from pipeline.ledger.deliveries import DeliveryLedger  # noqa: PLC0415

        database.initialize_once(self._settings)
        self._calls = BoundedCalls("ledger", threads=THREADS, waiting=WAITING, seconds=SECONDS)
        return DeliveryLedger(self._connection, Deliveries(database), self._calls, self._law)

    def close(self) -> None:
        """End the threads and connections."""
        if self._calls is None:
            return
        from core.db.database import database  # noqa: PLC0415

        self._calls.close()
        database.close()
