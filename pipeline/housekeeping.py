"""What must be done now and then. Every replica does it; doing it twice changes nothing."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from core.errors import UnavailableError, UnusableKeyError
from pipeline import keys
from pipeline.catalogue import Catalogue
from pipeline.connection import CommandRefused, RedisConnection
from pipeline.egress import Egress
from pipeline.lists import Lists
from pipeline.once import Once
from pipeline.queues import Queues

log = logging.getLogger(__name__)

CHUNK = 1000
"""How many entries one script call looks at; keeps Redis free for others in between."""
KEEPS_EVERYTHING = {"appendfsync": "always", "appendonly": "yes", "maxmemory-policy": "noeviction"}
"""How Redis must be set so that it has for good what it has said yes to; see docs/operations.md."""


async def every(seconds: float, chore: Callable[[], Awaitable[None]]) -> None:
    """Do a chore now and every so many seconds, until cancelled; a failure waits for the next."""
    told = Once()
    while True:
        try:
            await chore()
            told = Once()
        except UnavailableError as error:
            log.debug("housekeeping waits", extra={"cause": str(error)})
        except CommandRefused as error:  # such as a write when Redis has no memory left
            if told.first(str(error)):
                log.warning("Redis refuses housekeeping", extra={"error": str(error)})
        except asyncio.CancelledError:
            raise
        except BaseException:
            log.exception("housekeeping failed")
        await asyncio.sleep(seconds)


async def rescue_the_dead(queues: Queues) -> None:
    """Give back what workers without a lease still hold."""
    for worker in await queues.workers():
        with contextlib.suppress(UnusableKeyError):  # it holds the others up no less
            await _rescue(queues, worker)


async def _rescue(queues: Queues, worker: str) -> None:
    if (count := await queues.rescue(worker)) > 0:
        log.warning(
            "gave back what a dead worker held", extra={"dead_worker": worker, "vcons": count}
        )


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


class Keeper:
    """Sees to it that vCons live as long as a list holds them, and not for ever after."""

    def __init__(
        self,
        connection: RedisConnection,
        catalogue: Catalogue,
        egress: Egress,
        *,
        vcon_expiry: int,
        dead_expiry: int,
        run_expiry: int,
    ) -> None:
        """Seconds that a vCon stays once nobody needs it; after a dead letter, `dead_expiry`.

        `run_expiry`: seconds that the failed run stays after that.
        """
        self._connection = connection
        self._catalogue = catalogue
        self._egress = egress
        self._vcon_expiry = vcon_expiry
        self._dead_expiry = dead_expiry
        self._run_expiry = run_expiry

    async def sweep(self, lists: Lists) -> None:
        """One round over every list."""
        await if_usable(self._egress.take_back())
        for name in lists.ingress:
            await if_usable(self._keep(name, ""))
            await if_usable(self._keep(keys.suspects(name), ""))
        for name in lists.handed_out:
            await if_usable(self._sweep_egress(name))
        for name in lists.passed_on:  # the chain that reads it holds what it takes
            await self._forget_unread(name)
        for name in lists.dead:
            await if_usable(self._sweep_dead(name))
        await self._catalogue.reap()

    async def _sweep_egress(self, name: str) -> None:
        await self._keep(name, keys.unread(name))
        await self._let_go(name, keys.unread(name), "SMEMBERS", self._vcon_expiry, saved=True)

    async def _sweep_dead(self, name: str) -> None:
        await self._keep(name, keys.reasons(name))
        await self._let_go(name, keys.reasons(name), "HKEYS", self._dead_expiry, saved=False)

    async def _forget_unread(self, name: str) -> None:
        if await self._connection.command("TYPE", keys.unread(name)) == "set":
            await self._connection.command("DEL", keys.unread(name))

    async def _keep(self, name: str, register: str) -> None:
        """Another program may have queued a vCon that has a time to live."""
        last, seen = -1, CHUNK
        while seen == CHUNK:
            first = last - CHUNK + 1
            seen = await self._connection.script("keep_queued", name, register, first, last)
            last = first - 1

    async def _let_go(
        self, name: str, register: str, listing: str, expiry: int, *, saved: bool
    ) -> None:
        """Another program may have taken vCons out of a list that we fill."""
        # the register first: what is in it now and is not in the list afterwards has been taken
        taken = set(await self._connection.command(listing, register))
        if taken:
            async for elements in self._elements(name):
                taken.difference_update(elements)
        uuids = list(taken)
        times = (expiry, self._run_expiry, int(saved))
        for first in range(0, len(uuids), CHUNK):
            chunk = uuids[first : first + CHUNK]
            await self._connection.script("release", name, register, *times, *chunk)

    async def _elements(self, name: str) -> AsyncIterator[list[str]]:
        """All that is in a list now, from its tail: what is taken at its head shifts nothing."""
        last = -1
        while elements := await self._connection.command("LRANGE", name, last - CHUNK + 1, last):
            yield elements
            last -= CHUNK


async def warn_of_losses(connection: RedisConnection) -> None:
    """Say loudly by which of its settings Redis may lose vCons.

    Raises:
        UnavailableError: when Redis cannot be reached.
    """
    try:
        told = await connection.command("CONFIG", "GET", *KEEPS_EVERYTHING)
    except CommandRefused:  # a managed Redis may forbid CONFIG
        return
    pairs = told if isinstance(told, dict) else dict(zip(told[::2], told[1::2], strict=True))
    for name, safe in KEEPS_EVERYTHING.items():
        if (value := pairs.get(name, safe)) != safe:
            log.warning("Redis may lose vCons: its %s is %s, set it to %s", name, value, safe)
