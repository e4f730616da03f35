"""Runs that have not ended, as callers see them: what their workers say, over their journals."""

import asyncio
from datetime import UTC, datetime
from typing import Protocol

from core.errors import InvalidError
from pipeline import keys
from pipeline.configuration import Configuration
from pipeline.connection import RedisConnection
from schemas.run import FINISHED, Run, StepReport
from schemas.run_page import RunPage, RunQuery

MOST = 500
"""How many runs that have not ended are looked at for one page."""


def as_it_stands(run: Run, report: str, *, claimed: bool) -> Run:
    """An unfinished run by what its worker says, if one holds it: its journal may be older."""
    if run.status in FINISHED:
        return run
    if not claimed:
        return run.model_copy(update={"status": "queued"})
    return run.under_way(StepReport.model_validate_json(report) if report else None)


class RunLister(Protocol):
    """Where pages of runs come from."""

    async def list_runs(self, query: RunQuery) -> RunPage:
        """Runs that meet the query, newest first."""
        ...


class RunListing:
    """Pages of runs: those that have ended from the archive, the others from Redis."""

    def __init__(
        self, archive: RunLister, connection: RedisConnection, configuration: Configuration
    ) -> None:
        """The lists of the configuration's chains are where requested runs are queued."""
        self._archive = archive
        self._connection = connection
        self._configuration = configuration

    async def list_runs(self, query: RunQuery) -> RunPage:
        """Runs that have ended, newest first; those `queued` or `running` when asked for.

        Of these, at most 500 are looked at, and there is one page.

        Raises:
            UnavailableError: Postgres or Redis cannot be reached.
            InvalidError: for a cursor where there is one page only.
        """
        if query.status not in ("queued", "running"):
            return await self._archive.list_runs(query)
        if query.cursor:
            raise InvalidError(f"cursor: runs that are {query.status} come on one page")
        runs = await (self._running() if query.status == "running" else self._queued())
        found = sorted((run for run in runs if _meets(run, query)), key=_began, reverse=True)
        return RunPage(runs=found[: query.limit])

    async def _running(self) -> list[Run]:
        rows = await self._connection.script("under_way", MOST)
        return [self._held(*row) for row in rows]

    def _held(self, run_id: str, list_name: str, vcon: str, journal: str, report: str) -> Run:
        if journal:
            run = Run.model_validate_json(journal)
        else:
            chain = self._configuration.config.chain_reading(list_name)
            run = Run(
                run_id=run_id,
                chain=chain.name if chain else list_name.removeprefix(keys.RUN_LIST),
                vcon_in=vcon,
                vcon_out=vcon,
                status="running",
                ingress_list=list_name,
            )
        return as_it_stands(run, report, claimed=True)

    async def _queued(self) -> list[Run]:
        """Requested runs in the lists of their chains, and those that wait for another attempt."""
        chains = self._configuration.config.enabled_chains
        lists = [keys.run_list(chain.name) for chain in chains]
        asides = [name for each in lists for name in (each, keys.suspects(each))]
        reading = [self._connection.command("LRANGE", name, -MOST, -1) for name in asides]
        later = self._connection.command("ZRANGE", keys.LATER, 0, MOST - 1)
        *elements, delayed = await asyncio.gather(*reading, later)
        waiting = [each for found in elements for each in found] + list(delayed)
        run_ids = [each.rpartition("|")[2] for each in waiting if "|" in each][-MOST:]
        looks = await asyncio.gather(*(self._connection.script("look", each) for each in run_ids))
        return [
            as_it_stands(Run.model_validate_json(journal), "", claimed=False)
            for journal, claimed, _ in looks
            if journal and not claimed
        ]


def _meets(run: Run, query: RunQuery) -> bool:
    return (
        run.status == query.status
        and query.chain in (None, run.chain)
        and query.vcon_uuid in (None, run.vcon_in, run.vcon_out)
        and (query.since is None or _began(run) >= _zoned(query.since))
    )


def _began(run: Run) -> datetime:
    return run.started_at or run.queued_at or datetime.min.replace(tzinfo=UTC)


def _zoned(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
