"""Runs for callers: start, find, cancel, list, and wait for the end of one."""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

from core.errors import ConflictError, InvalidError, UnavailableError, UnknownNameError
from core.run_ids import new_run_id
from pipeline.admin.run_archive import RunArchive
from pipeline.custody.places import Places
from pipeline.custody.rows import place_of
from pipeline.ingest.idempotency import RunRequest, run_of
from pipeline.ingest.intake import Intake
from pipeline.live_config import Configuration
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.cancellation import LISTEN_PAUSE
from pipeline.runs.queues import Queues
from schemas.run import FINISHED, Run, StepReport
from schemas.run_page import RunPage, RunQuery

MOST = 500
"""Runs that have not ended, read for one page."""


def as_it_stands(run: Run, report: str, *, claimed: bool) -> Run:
    """The run with the report of the worker that holds it, which is newer than the checkpoint."""
    if run.status in FINISHED:
        return run
    if not claimed:
        return run.model_copy(update={"status": "queued"})
    return run.under_way(StepReport.model_validate_json(report) if report else None)


class RunListing:
    """Pages of runs: those that have ended from the archive, the others from Redis."""

    def __init__(
        self, archive: RunArchive, connection: RedisConnection, configuration: Configuration
    ) -> None:
        """The lists of the configuration's chains are where requested runs are queued."""
        self._archive = archive
        self._connection = connection
        self._configuration = configuration

    async def list_runs(self, query: RunQuery) -> RunPage:
        """Runs that have ended, newest first; those `queued` or `running` if the query names that.

        Of the latter, at most 500 are read, and there is one page.

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

    def _held(self, run_id: str, list_name: str, vcon: str, checkpoint: str, report: str) -> Run:
        if checkpoint:
            run = Run.model_validate_json(checkpoint)
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
        places = [name for each in lists for name in (each, keys.suspects(each))]
        reading = [self._connection.command("LRANGE", name, -MOST, -1) for name in places]
        later = self._connection.command("ZRANGE", keys.LATER, 0, MOST - 1)
        *elements, delayed = await asyncio.gather(*reading, later)
        waiting = [each for found in elements for each in found] + list(delayed)
        run_ids = [each.rpartition("|")[2] for each in waiting if "|" in each][-MOST:]
        looks = await asyncio.gather(*(self._connection.script("look", each) for each in run_ids))
        return [
            as_it_stands(Run.model_validate_json(checkpoint), "", claimed=False)
            for checkpoint, claimed, _ in looks
            if checkpoint and not claimed
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


REPORT_LOOKS, REPORT_PAUSE = 6, 0.05
"""Reads, and seconds between them, until the first report of a claimed run."""

log = logging.getLogger(__name__)


class Runs:
    """Live and recent runs are in Redis, so any replica can answer; older runs are in Postgres."""

    def __init__(
        self,
        connection: RedisConnection,
        intake: Intake,
        queues: Queues,
        archive: RunArchive,
        configuration: Configuration,
        places: Places | None = None,
    ) -> None:
        """The hash of the configuration is recorded with each run that is requested here.

        `places` ends the custody of cancelled runs.
        """
        self._places = places or Places(connection)
        self._connection = connection
        self._queues = queues
        self._intake = intake
        self._archive = archive
        self._configuration = configuration
        self._waiters: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._listening = asyncio.Event()

    async def listen(self) -> None:
        """Receive the ids of finished runs until cancelled."""
        while True:
            with contextlib.suppress(UnavailableError):
                async for run_id in self._connection.messages(keys.FINISHED_CHANNEL):
                    self._listening.set()
                    self._wake(run_id)
            self._listening.clear()
            await asyncio.sleep(LISTEN_PAUSE)
            await self._connection.wait_until_reachable()

    def _wake(self, run_id: str) -> None:
        """Wake the waiters of this run; all waiters for an empty id, sent when listening begins."""
        runs = [run_id] if run_id else list(self._waiters)
        for waiter in [each for run in runs for each in self._waiters.get(run, ())]:
            waiter.set()

    async def requested(
        self, key: str, chain: str, vcon_uuid: str, digests: Sequence[str] = ()
    ) -> str | None:
        """The run that was requested with this key within a day, if any.

        `digests` are those of the document that comes with the request now.

        Raises:
            ReusedKeyError: the request was another one.
        """
        where = keys.idempotency(key), keys.idempotent_digest(key)
        known, first = await self._connection.command("MGET", *where)
        request = RunRequest(chain, vcon_uuid, digests)
        return None if known is None else run_of(request, known, first)

    async def start(
        self, chain: str, vcon_uuid: str, key: str | None = None, digests: Sequence[str] = ()
    ) -> str:
        """Request a run; its id. It is registered before anything of it runs.

        The same `key` again, on any replica, gives the run that was requested first.

        Raises:
            UnknownNameError: when there is no such vCon.
            ReusedKeyError: the key was used for another request.
        """
        run_id = new_run_id()
        queued = Run(
            run_id=run_id,
            chain=chain,
            vcon_in=vcon_uuid,
            vcon_out=vcon_uuid,
            status="queued",
            config_hash=self._configuration.config.hash,
            queued_at=datetime.now(UTC),
        )
        checkpoint = queued.model_dump_json().encode()
        registered = await self._intake.enqueue_run(
            vcon_uuid, run_id, chain, checkpoint, key, digests
        )
        if registered is None:
            raise UnknownNameError("vCon", vcon_uuid)
        return registered

    async def cancel(self, run_id: str) -> Run:
        """End a run that is queued; let one that runs end before its next link. The run after that.

        Raises:
            UnknownNameError: there is no such run.
            ConflictError: it has ended already.
        """
        status = await self._queues.cancel(run_id, datetime.now(UTC).isoformat())
        run = await self.find(run_id)
        if status == "queued":
            place = run.ingress_list or place_of(keys.run_list(run.chain), run_id)
            await self._places.ended([(run.vcon_in, place)], "cancelled")
        if status not in ("queued", "running"):
            raise ConflictError(f"run {run_id} has ended already: it is {run.status}")
        return run

    async def wait(self, run_id: str, seconds: float) -> Run:
        """The run as soon as it is finished, or as it stands after `seconds`."""
        waiter = asyncio.Event()
        self._waiters[run_id].add(waiter)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._listening.wait()
                    await self._until_finished(run_id, waiter)
            return await self.find(run_id)
        finally:
            self._waiters[run_id].discard(waiter)
            if not self._waiters[run_id]:
                del self._waiters[run_id]

    async def _until_finished(self, run_id: str, waiter: asyncio.Event) -> None:
        # read first: it may have finished before `listen` began
        while (await self._connection.insist(lambda: self._look(run_id))).status not in FINISHED:
            await waiter.wait()
            waiter.clear()

    async def find(self, run_id: str) -> Run:
        """A run in Redis or in the history; one that a worker holds is `running`, with its step.

        Raises:
            UnknownNameError: when there is no such run.
        """
        run = await self._look(run_id)
        for _ in range(REPORT_LOOKS):
            if run.status != "running" or run.step is not None:
                break
            await asyncio.sleep(REPORT_PAUSE)  # its worker is about to report the step
            run = await self._look(run_id)
        return run

    async def _look(self, run_id: str) -> Run:
        """The run as it stands now; the step may not be known yet."""
        checkpoint, claimed, report = await self._connection.script("look", run_id)
        if checkpoint:
            stored = Run.model_validate_json(checkpoint)
            return as_it_stands(stored, report, claimed=bool(claimed))
        run = await self._archive.find_run(run_id)
        if run is None:
            raise UnknownNameError("run", run_id)
        return run
