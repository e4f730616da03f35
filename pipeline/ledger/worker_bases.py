"""Recorded bases as a worker reads them: Postgres is connected when a step with `requires` asks.

Every such step reads them, so an answer takes one or two short statements. While Postgres is away
the step waits, and no attempt is used up.
"""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from core.concurrency.thread_pool import BoundedCalls, in_own_thread
from core.settings import Settings
from pipeline.law.basis.records import RecordedBasis

if TYPE_CHECKING:
    from pipeline.ledger.recorded_bases import RecordedBases

SECONDS = 2.0
"""The most that a step waits for Postgres."""
THREADS, WAITING = 2, 200
"""Threads for calls to Postgres, and steps that may wait for them."""


class WorkerBases:
    """Makes its parts at their first use: most workers have no step with `requires`."""

    def __init__(self, settings: Settings) -> None:
        """Connects to nothing."""
        self._settings = settings
        self._making = threading.Lock()
        self._bases: RecordedBases | None = None
        self._calls: BoundedCalls | None = None

    async def of(self, vcon_uuid: str, parties: Sequence[Any]) -> Sequence[RecordedBasis]:
        """Those in force for a vCon and for its parties.

        Raises:
            UnavailableError: Postgres cannot be reached.
        """
        bases = self._bases
        if bases is None:
            bases = await in_own_thread(self._made)
        return await bases.of(vcon_uuid, parties)

    def _made(self) -> "RecordedBases":
        with self._making:
            bases = self._bases = self._bases or self._make()
            return bases

    def _make(self) -> "RecordedBases":
        # the drivers of Postgres take a third of a worker's start
        from core.db.database import database  # noqa: PLC0415
        from core.db.law.bases import Bases  # noqa: PLC0415
        from core.db.vcon_index import VconIndexRows  # noqa: PLC0415
        from pipeline.ledger.recorded_bases import RecordedBases  # noqa: PLC0415
        from pipeline.stored.index import StoredIndex  # noqa: PLC0415

        database.initialize_once(self._settings)
        self._calls = BoundedCalls("bases", threads=THREADS, waiting=WAITING, seconds=SECONDS)
        index = StoredIndex(VconIndexRows(database), self._calls, self._settings)
        return RecordedBases(Bases(database), index, self._calls)

    def close(self) -> None:
        """End the threads and connections."""
        if self._calls is None:
            return
        from core.db.database import database  # noqa: PLC0415

        self._calls.close()
        database.close()
