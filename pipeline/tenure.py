"""Whether a worker may go on with a run."""

import asyncio

from pipeline.journal import RunJournal
from pipeline.lease import Lease
from pipeline.live_run import LiveRun

LEASE_POLL = 0.2


class Tenure:
    """To be asked before anything is started on behalf of a run."""

    def __init__(self, lease: Lease, journal: RunJournal) -> None:
        """A run is held as long as the lease has not lapsed since it was claimed."""
        self._lease = lease
        self._journal = journal

    async def confirm(self, live: LiveRun) -> None:
        """Nothing starts without a lease; after a lapse, only what is still in our hands.

        Raises:
            Lost: when another worker has taken the run over.
        """
        while not self._lease.valid:  # noqa: ASYNC110 -- the lease is kept by a thread
            await asyncio.sleep(LEASE_POLL)
        lapses = self._lease.lapses
        if live.lapses != lapses:
            await self._journal.write(live)
            live.lapses = lapses

    def is_sure(self, live: LiveRun) -> bool:
        """Whether nothing needs to be asked just now; from a thread, too."""
        return self._lease.valid and self._lease.lapses == live.lapses
