"""How long vCons live: as long as a list holds them, and not for ever after.

Other programs put vCons into the lists and take them out, and tell nothing. A sweep therefore
compares what we have put into a list (its register: `pc:unread:...` or `pc:dead:...`) with what is
in it. Lists and registers may have any length and are never read in one go, so both change while
they are read:

* A list is read from its tail in pages that overlap. What is taken at its head or added at its tail
  hides nothing. Something taken out in between moves older entries towards the tail, past the
  reader; as long as a page has an entry of the one before it, it has moved by less than the overlap
  and each entry that was there all the time has been seen. Otherwise the sweep decides nothing.
* What was not found is marked in `pc:missing:...`, and the list is read again. Each script that
  puts a uuid into such a list removes the mark. `release` believes only marks of its own sweep, so
  it lets go only of what was absent in the whole second reading and has not been put back since.

A wrong "absent" would drop the reason of a dead letter and the hold on its vCon; a wrong "present"
is put right by the next sweep.
"""

import uuid
from collections.abc import Sequence

from pipeline.admin.egress import Egress
from pipeline.admin.vcon_index import VconIndex
from pipeline.config.lists import Lists
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.periodic import skip_unusable
from pipeline.redis_client.slices import chunks, members
from pipeline.redis_client.staging import Trash

CHUNK = 500
"""Entries that one command or script looks at; other clients of Redis go on in between."""
RELEASED = 100
"""vCons that one script call lets go of, which takes more time for each."""
PAGE, OVERLAP = 2000, 500
"""Entries of one page of a list, and how many of them the page before it had, too."""
MARKED_SECONDS = 3600
"""Time to live of the marks, should the replica die during its sweep."""


class Retention:
    """Sees to it that vCons live as long as a list holds them, and not for ever after."""

    def __init__(
        self,
        connection: RedisConnection,
        index: VconIndex,
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
        self._index = index
        self._egress = egress
        self._vcon_expiry = vcon_expiry
        self._dead_expiry = dead_expiry
        self._run_expiry = run_expiry

    async def sweep(self, lists: Lists) -> None:
        """One round over every list."""
        await skip_unusable(self._egress.take_back())
        for name in lists.ingress:
            await skip_unusable(self._keep(name, ""))
            await skip_unusable(self._keep(keys.suspects(name), ""))
        for name in lists.handed_out:
            await skip_unusable(self._sweep_egress(name))
        for name in lists.passed_on:  # the chain that reads it holds what it takes
            await skip_unusable(self._clear(keys.unread(name), "SREM"))
            await skip_unusable(self._clear(keys.again(name), "HDEL"))
        for name in lists.dead:
            await skip_unusable(self._sweep_dead(name))
        await self._index.reap()
        await skip_unusable(Trash(self._connection).empty())

    async def _sweep_egress(self, name: str) -> None:
        await self._keep(name, keys.unread(name))
        await self._let_go(name, keys.unread(name), self._vcon_expiry, saved=True)

    async def _sweep_dead(self, name: str) -> None:
        await self._keep(name, keys.reasons(name))
        await self._let_go(name, keys.reasons(name), self._dead_expiry, saved=False)

    async def _keep(self, name: str, register: str) -> None:
        """Another program may have queued a vCon that has a time to live."""
        last, seen = -1, CHUNK
        while seen == CHUNK:
            first = last - CHUNK + 1
            seen = await self._connection.script("keep_queued", name, register, first, last)
            last = first - 1

    async def _let_go(self, name: str, register: str, expiry: int, *, saved: bool) -> None:
        """Another program may have taken vCons out of a list that we fill."""
        unsure = await self._members(keys.unsure(name))  # first: what is in it is registered, too
        registered = await self._members(register)
        suspects = await self._missing(name, registered)
        if suspects is None:
            return
        await self._forget_unsure(name, list((unsure & registered) - suspects))
        if not suspects:
            return
        sweep = uuid.uuid4().hex
        await self._mark(name, sweep, list(suspects))
        gone = await self._missing(name, suspects)
        times = (expiry, self._run_expiry, int(saved), sweep)
        for each in chunks(list(gone or ()), RELEASED):
            await self._connection.script("release", name, register, *times, *each)

    async def _mark(self, name: str, sweep: str, uuids: Sequence[str]) -> None:
        for each in chunks(uuids, CHUNK):
            pairs = [word for vcon_uuid in each for word in (vcon_uuid, sweep)]
            await self._connection.command("HSET", keys.missing(name), *pairs)
        await self._connection.command("EXPIRE", keys.missing(name), MARKED_SECONDS)

    async def _forget_unsure(self, name: str, uuids: Sequence[str]) -> None:
        for each in chunks(uuids, CHUNK):
            await self._connection.command("SREM", keys.unsure(name), *each)

    async def _clear(self, register: str, command: str) -> None:
        """Forget all of a register, in slices: `DEL` frees all of it at once."""
        async for some in members(self._connection, register):
            await self._connection.command(command, register, *some)

    async def _members(self, register: str) -> set[str]:
        return {each async for some in members(self._connection, register) for each in some}

    async def _missing(self, name: str, uuids: set[str]) -> set[str] | None:
        """Those that are not in a list; None if that cannot be told this time."""
        missing = set(uuids)
        previous: list[str] = []
        last = -1
        while missing:
            page = await self._connection.command("LRANGE", name, last - PAGE + 1, last)
            if previous and set(previous).isdisjoint(page):
                return None
            missing.difference_update(page)
            if len(page) < PAGE:
                break
            previous, last = page, last - PAGE + OVERLAP
        return missing
