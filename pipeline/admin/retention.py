"""Expiry: a vCon lives as long as a list holds it, and for a limited time after.

Other programs also add vCons to the lists and remove them. A sweep therefore compares the vCons
that this service has put into a list (its register: `pc:unread:...` or `pc:dead:...`) with those
in it. Lists and registers may have any length and are never read in one go, so both change while
they are read:

* A list is read from its tail in pages that overlap. Entries taken at the head or added at the tail
  hide no other entry. An entry removed in between moves older entries towards the tail, past the
  reader. If a page has an entry of the page before, the list has moved by less than the overlap,
  and every entry present all the time has been seen. Otherwise the sweep decides nothing.
* A uuid that was not found is marked in `pc:missing:...`, and the list is read again. Each script
  that puts a uuid into such a list removes the mark. `release` uses only marks of its own sweep, so
  it releases only vCons absent in the whole second reading and not put back since.

A wrong "absent" would delete the error of a dead letter and the hold on its vCon; the next sweep
corrects a wrong "present".
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
"""Entries of one command or script call, so that other clients of Redis are not held up."""
RELEASED = 50
"""vCons that one script call releases, which takes longer for each."""
PAGE, OVERLAP = 2000, 500
"""Entries of one page of a list, and how many of them the page before it had, too."""
MARKED_SECONDS = 3600
"""Time to live of the marks, should the replica die during its sweep."""


class Retention:
    """Sets and removes the time to live of vCons; see the head of this file."""

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
        """`vcon_expiry`: time to live, in seconds, of a vCon that no list or run holds.

        `dead_expiry` is that of a vCon removed from a dead-letter list, `run_expiry` that of its
        failed run.
        """
        self._connection = connection
        self._index = index
        self._egress = egress
        self._vcon_expiry = vcon_expiry
        self._dead_expiry = dead_expiry
        self._run_expiry = run_expiry

    async def sweep(self, lists: Lists) -> None:
        """One round over every list."""
        await skip_unusable(self._egress.take_back)
        for name in lists.ingress:
            await skip_unusable(self._keep, name, "")
            await skip_unusable(self._keep, keys.suspects(name), "")
        for name in lists.handed_out:
            await skip_unusable(self._sweep_egress, name)
        for name in lists.passed_on:  # the chain that reads it holds what it takes
            await skip_unusable(self._clear, keys.unread(name), "SREM")
            await skip_unusable(self._clear, keys.again(name), "HDEL")
        for name in (*lists.dead, *lists.withheld):
            await skip_unusable(self._sweep_dead, name)
        await self._index.reap()
        await skip_unusable(Trash(self._connection).empty)

    async def _sweep_egress(self, name: str) -> None:
        await self._keep(name, keys.unread(name))
        await self._release(name, keys.unread(name), self._vcon_expiry, saved=True)

    async def _sweep_dead(self, name: str) -> None:
        await self._keep(name, keys.reasons(name))
        await self._release(name, keys.reasons(name), self._dead_expiry, saved=False)

    async def _keep(self, name: str, register: str) -> None:
        """Remove the time to live of queued vCons: another program may have queued one."""
        last, seen = -1, CHUNK
        while seen == CHUNK:
            first = last - CHUNK + 1
            seen = await self._connection.script("keep_queued", name, register, first, last)
            last = first - 1

    async def _release(self, name: str, register: str, expiry: int, *, saved: bool) -> None:
        """Release vCons that another program has taken out of a list."""
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
        """Delete a register in slices; one `DEL` would hold up other clients."""
        async for some in members(self._connection, register):
            await self._connection.command(command, register, *some)

    async def _members(self, register: str) -> set[str]:
        return {each async for some in members(self._connection, register) for each in some}

    async def _missing(self, name: str, uuids: set[str]) -> set[str] | None:
        """The uuids that are not in a list; None if the list moved too far to decide."""
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
