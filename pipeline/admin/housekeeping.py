"""What must be done now and then. Every replica does it; doing it twice changes nothing."""

import contextlib
import logging
from collections.abc import Awaitable

from core.errors import UnusableKeyError
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.queues import Queues

log = logging.getLogger(__name__)


async def rescue_the_dead(queues: Queues) -> None:
    """Give back what workers without a lease still hold."""
    for worker in await queues.workers():
        with contextlib.suppress(UnusableKeyError):  # it holds the others up no less
            await _rescue(queues, worker)


async def _rescue(queues: Queues, worker: str) -> None:
    if (count := await queues.rescue(worker)) > 0:
        log.warning("unclaimed runs given back", extra={"worker": worker, "count": count})


async def unlock_left_over(queues: Queues) -> None:
    """Remove locks on vCons that no worker has in flight: nothing else would claim those again."""
    async for vcon_uuids in queues.unlock():
        for vcon_uuid in vcon_uuids:
            log.warning("removed a lock that was left over", extra={"vcon": vcon_uuid})


async def if_usable(step: Awaitable[None]) -> None:
    """Leave out what a key of another type prevents; `UnusableKeys` tells of it."""
    with contextlib.suppress(UnusableKeyError):
        await step


class Rescuer:
    """Gives back what dead workers hold, but nothing right after an outage of Redis.

    While Redis was away no worker could say that it is alive, and a lease that ran out meanwhile
    says nothing: a vCon whose worker is taken for dead may have used up an attempt by that.
    """

    def __init__(self, connection: RedisConnection, queues: Queues, rounds: int) -> None:
        """`rounds`: how many of them last as long as a lease."""
        self._connection = connection
        self._queues = queues
        self._rounds = rounds
        self._outages = 0
        self._waiting = 0

    async def round(self) -> None:
        """Rescue, unless Redis was away within the last lease."""
        if self._connection.outages != self._outages:
            self._outages, self._waiting = self._connection.outages, self._rounds
        if self._waiting:
            self._waiting -= 1
            return
        await rescue_the_dead(self._queues)
