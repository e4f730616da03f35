"""Claims of partners' vCons in Postgres, many with one call.

A transaction for each claim costs the service 1 ms of CPU time, ten times the rest of a request.
So claims wait while a call is at work, and the next call makes all that wait. A uuid that is
claimed in the present call waits for the next, since the first answer may decide.
"""

import asyncio
from contextvars import Context
from uuid import UUID

from core.aio import LoopTimeout
from core.db.vcon_owners import Claim, VconOwners
from core.errors import UnavailableError
from core.thread_pool import BoundedCalls

AT_ONCE = 100
"""Claims of one call."""
MOST_WAITING = 1000
"""Claims that wait; further ones are refused."""

type _Waiting = tuple[UUID, UUID, asyncio.Future[Claim]]


class Claims:
    """Claims vCons for lineages of keys; use it on one event loop only."""

    def __init__(self, owners: VconOwners, calls: BoundedCalls) -> None:
        """`calls` carries the calls of `owners`."""
        self._owners = owners
        self._calls = calls
        self._waiting: list[_Waiting] = []
        self._work: asyncio.Task[None] | None = None

    async def claim(self, vcon_uuid: UUID, lineage: UUID) -> Claim:
        """Claim a vCon for a lineage; see `VconOwners.claim`.

        Raises:
            UnavailableError: Postgres is unavailable, or does not answer in the time of its calls.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise UnavailableError(f"{MOST_WAITING} vCons wait for Postgres; try again later")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Claim] = loop.create_future()
        self._waiting.append((vcon_uuid, lineage, answer))
        if self._work is None:
            self._work = loop.create_task(self._run(), context=Context())
        try:
            async with LoopTimeout(self._calls.seconds):
                return await answer
        except TimeoutError:
            raise UnavailableError("Postgres does not answer in time; try again later") from None

    async def _run(self) -> None:
        """Make the claims that wait, until there are none."""
        try:
            while self._waiting:
                await self._make(self._next())
        finally:
            self._work = None

    def _next(self) -> dict[UUID, _Waiting]:
        """The first claims of different vCons; they no longer wait."""
        chosen: dict[UUID, _Waiting] = {}
        rest: list[_Waiting] = []
        for each in self._waiting:
            if each[2].done():  # its caller was cancelled
                continue
            if each[0] in chosen or len(chosen) >= AT_ONCE:
                rest.append(each)
            else:
                chosen[each[0]] = each
        self._waiting = rest
        return chosen

    async def _make(self, chosen: dict[UUID, _Waiting]) -> None:
        wanted = {vcon_uuid: lineage for vcon_uuid, lineage, _ in chosen.values()}
        try:
            claims = await self._calls(self._owners.claim, wanted) if wanted else {}
        except Exception as error:  # noqa: BLE001 -- it is raised where the claims are awaited
            for _, _, answer in chosen.values():
                if not answer.done():
                    answer.set_exception(error)
        else:
            for vcon_uuid, claim in claims.items():
                if not (answer := chosen[vcon_uuid][2]).done():
                    answer.set_result(claim)
