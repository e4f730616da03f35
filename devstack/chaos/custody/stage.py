"""What the scenarios of custody have in common: a system, callers, the account, and the end."""

import asyncio
import random
from collections.abc import AsyncIterator, Set
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, LiteralString

import psycopg

from devstack.chaos.custody.account import Account
from devstack.chaos.custody.outside import Outside, Receiver
from devstack.chaos.feeding import SUBJECTS, Feeder
from devstack.chaos.scene import conclude, some_progress
from devstack.chaos.system.chain import INGRESS, NO_MORE
from devstack.chaos.system.servers import Servers
from devstack.chaos.system.system import System
from devstack.chaos.verdict.evidence import rows
from devstack.chaos.verdict.report import Report
from devstack.chaos.waiting import ChaosError, until

CALLERS = 4
RETURN_SECONDS = 60.0
"""The promise: within a minute of the return of Redis everything is queued again."""

SETTLED: LiteralString = """
SELECT DISTINCT vcon_in::text FROM chain_runs
WHERE finished_at IS NOT NULL AND status IN ('done', 'halted', 'partial', 'failed')
"""
# Of several rows of a vCon the latest counts.
OPEN: LiteralString = """
SELECT count(*) FROM (
    SELECT DISTINCT ON (vcon_uuid) released_at, open FROM custody
    WHERE %(list)s = ANY(lists) ORDER BY vcon_uuid, number DESC
) AS latest WHERE %(list)s = ANY(open)
"""
GENERATION: LiteralString = "SELECT generation, recovery IS NOT NULL FROM redis_identity"
RUNS: LiteralString = """
SELECT vcon_in::text, count(*) FROM chain_runs GROUP BY 1 HAVING count(*) > 1
"""


class Stage:
    """A system with custody, its callers and its account."""

    def __init__(self, system: System, outside: Outside | None = None) -> None:
        """`outside`: what the system's chain does there."""
        self.system = system
        self.feeder = Feeder(system)
        self.account = Account(self._settled, system.ledger, outside)

    def _settled(self) -> Set[str]:
        return frozenset(vcon for (vcon,) in rows(self.system, SETTLED))

    @asynccontextmanager
    async def calls(self, *, callers: int = CALLERS) -> AsyncIterator[None]:
        """Inside this context, callers send vCons of every kind over RPC."""
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for _ in range(callers):
                group.create_task(self._call(stopping))
            try:
                yield
            finally:
                stopping.set()

    async def _call(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            await self.feeder.ingest(random.choice(SUBJECTS))  # noqa: S311 -- guards nothing
            await until(lambda: self.feeder.has_room(stopping), "room in the ingress list")

    async def progress(self, count: int = 5) -> None:
        """Return when `count` more vCons have been forwarded."""
        await some_progress(self.system, count)

    async def generation(self) -> int:
        """How often a Redis has been approved."""
        [generation, _] = await self.recovery()
        return generation

    async def recovery(self) -> tuple[int, bool]:
        """How often a Redis has been approved, and whether a recovery is under way."""
        found = await asyncio.to_thread(rows, self.system, GENERATION)
        return tuple(found[0]) if found else (0, False)

    async def recovered_since(self, generation: int) -> None:
        """Return when a recovery that was begun since `generation` has ended.

        Raises:
            ChaosError: if that takes longer than is promised.
        """

        async def look() -> bool:
            now, is_under_way = await self.recovery()
            return now > generation and not is_under_way

        await until(look, "the recovery of Redis", RETURN_SECONDS)

    async def end(self, report: Report) -> None:
        """Wait until nothing is left to be done, and judge what became of every vCon."""
        try:
            await until(self._nothing_open, "custody to be released", RETURN_SECONDS)
        except ChaosError as error:
            report.broken.append(f"{error}; {dict(await self.system.backlog())}")
        await conclude(self.system, self.feeder, report)
        report.repeated = await self.account.repeated(self.feeder.fed)

    async def _nothing_open(self) -> bool:
        try:
            [[count]] = await asyncio.to_thread(rows, self.system, OPEN, {"list": INGRESS})
        except psycopg.OperationalError:
            return False
        return bool(count == 0)

    async def more_runs_than_one(self) -> list[Any]:
        """The vCons with several runs in the history."""
        return list(await asyncio.to_thread(rows, self.system, RUNS))


@asynccontextmanager
async def stage(
    servers: Servers, *, counts_outside: bool = False, **settings: Any
) -> AsyncIterator[Stage]:
    """A stage; `counts_outside`: its chain has the built-in webhook link and file storage, too."""
    settings = {"CUSTODY": "postgres", "CONSERVER_WORKERS": 2, "seconds": 0.05, **settings}
    async with AsyncExitStack() as opened:
        outside, more = None, NO_MORE
        if counts_outside:
            receiver = await opened.enter_async_context(Receiver())
            outside = Outside(receiver, Path(mkdtemp(dir=servers.folder)))
            more = outside.configuration()
        system = await opened.enter_async_context(System(servers, more, **settings))
        yield Stage(system, outside)
