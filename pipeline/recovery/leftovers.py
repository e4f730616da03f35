"""Rows of requests that Redis never got: their process was killed or timed out after the commit.

They were not answered, or with 503. A recovery would run them; without one they would keep their
documents without end. So after an hour they are deleted.

Only rows of which nothing else can be true are: a request brought the vCon in, no run has touched
the row, it was accepted after the last recovery (which may have left it out, since a key had
another type), and Redis, approved under the present generation, has nothing at all of the vCon.
"""

import logging
from itertools import islice

from core.db import custody_reading
from core.db.custody_reading import START
from core.db.identity import Identities, Identity
from pipeline.recovery.steps import in_thread, one_step
from pipeline.redis_client.client import RedisConnection

log = logging.getLogger(__name__)

SWEEP_SECONDS = 3600.0
"""Seconds between two sweeps."""
AGE = 3600
"""Seconds after which no request is under way any more."""
PAGE, MOST_PAGES = 200, 500
"""Rows of one transaction, and transactions of one sweep; the next one goes on."""


class Leftovers:
    """Deletes such rows, in slices that no slice of a recovery is beside."""

    def __init__(self, identities: Identities, connection: RedisConnection) -> None:
        self._identities = identities
        self._connection = connection
        self._after = START

    async def sweep(self) -> None:
        """One round.

        Raises:
            UnavailableError: Postgres or Redis cannot be reached.
        """
        for _ in range(MOST_PAGES):
            if not await self._page():
                return

    async def _page(self) -> bool:
        """Whether there may be more."""
        async with one_step(self._identities) as step:
            if step is None or step.row is None or step.row.recovery is not None:
                return False
            how = step.session, self._after, AGE, PAGE
            rows = await in_thread(custody_reading.untouched_rows, *how)
            unheard = await self._unheard(step.row, rows)
            if unheard is None:
                return False
            await in_thread(custody_reading.delete_rows, step.session, unheard)
        if unheard:
            log.info("rows of unanswered requests deleted", extra={"count": len(unheard)})
        is_full = len(rows) == PAGE
        self._after = rows[-1].key if is_full else START
        return is_full

    async def _unheard(
        self, row: Identity, rows: list[custody_reading.Untouched]
    ) -> list[custody_reading.Key] | None:
        """The rows that Redis has nothing of; None if it cannot tell."""
        pairs = [word for each in rows for name in each.lists for word in (each.vcon, name)]
        told = await self._connection.script("unheard", row.generation, row.counter, *pairs)
        if told[0] != "ok":
            return None
        flags = iter(told[1:])
        return [each.key for each in rows if all(list(islice(flags, len(each.lists))))]
