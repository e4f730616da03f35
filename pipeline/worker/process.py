"""The parts of a worker process: the worker, its lease, its watchdog and the Redis connection."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from core.concurrency.thread_pool import in_own_thread
from core.environment import environment
from core.errors import ConfigurationError, PatchcordError, UnavailableError
from core.settings import Settings
from pipeline import live_config as configurations
from pipeline.config import yaml_file
from pipeline.config.reports import log_broken
from pipeline.connections import registry
from pipeline.destinations.gate import DestinationGate
from pipeline.ledger.in_worker import WorkerLedger
from pipeline.ledger.worker_bases import WorkerBases
from pipeline.live_config import Configuration
from pipeline.minutes.counting import MinuteCounts, run_sources
from pipeline.redis_client.client import CommandRefused
from pipeline.runs.calls import PluginCalls
from pipeline.runs.factories import build_queues, config_path, installer, lenience, redis_connection
from pipeline.runs.lease import Checkpoints, Lease, LeaseGuard
from pipeline.runs.queues import Queues
from pipeline.runs.vcon_store import VconStore
from pipeline.storages import storage_fallback
from pipeline.storages.lookup import VconLookup
from pipeline.storages.storage_fallback import StorageFallback
from pipeline.withheld.evaluating import Evaluation
from pipeline.worker.admission import Admission, LawGate
from pipeline.worker.custody import NO_WORKER_CUSTODY, WorkerCustody
from pipeline.worker.fitness import Fitness
from pipeline.worker.link_runner import LinkSteps
from pipeline.worker.run_settler import RunMeter
from pipeline.worker.runner import ChainRunner, chain_runner
from pipeline.worker.slots.bytes_in_flight import BytesInFlight
from pipeline.worker.slots.limits import Limits, limits_of, shown
from pipeline.worker.tracers import Tracers
from pipeline.worker.watchdog import Blockage, LoopLimits, Watchdog, note_failure
from pipeline.worker.worker import Worker

log = logging.getLogger(__name__)

READERS = 2
"""Threads that read from storages for plugins that request a vCon."""
LEAST_THREADS = 4
"""Threads for sync plugins where no chain has any, as for closing storages."""
LAST_CLAIM = 0.5
"""Seconds to wait for the reply to the last claim."""


class WorkerProcess:
    """Builds and runs the parts of one worker process."""

    is_damaged = False
    """Whether a plugin has damaged the process, so that it ends."""

    _close_custody: Callable[[], None] = staticmethod(lambda: None)

    def __init__(
        self,
        settings: Settings,
        worker_id: str,
        counted: Callable[[], None],
        *,
        for_suspects: bool = False,
        beat: Callable[[int], None] = lambda _: None,
        blocked: Callable[[Blockage], None] = lambda _: None,
        damaged: Callable[[], None] = lambda: None,
    ) -> None:
        """Read the configuration, load the plugins, build the parts; opens no connection.

        `counted` is called after a metric has changed, `beat` at each check of the watchdog with
        the number of the event loop's turns. `blocked` is called in a thread when the event loop
        was blocked for too long, and ends the process. `damaged` is called when a plugin has
        damaged the process, before `run` returns.

        Raises:
            ConfigurationError: with every problem of the configuration and its plugins.
        """
        self._id, self._concurrency = worker_id, settings.conserver_vcon_concurrency
        self._bytes_in_flight = settings.max_bytes_in_flight
        self._path, self._lenience = config_path(settings), lenience(settings)
        self._installer, self._damaged = installer(settings), damaged
        self._configuration = self._load()
        self._connections = registry.install(self._configuration.config)
        self._reloading = asyncio.Lock()
        self._connection = redis = redis_connection(settings)
        queues = build_queues(settings, redis, settings.replica_id)
        self._overgrown, self._fitness = asyncio.Event(), Fitness()
        self._calls, self._readers = self._plugin_calls(settings), PluginCalls(READERS, redis)
        self._lookup, self._destinations = self._vcon_lookup(settings), DestinationGate(redis)
        self._watchdog = Watchdog(_loop_limits(settings), beat, blocked)
        self._lease = Lease(redis, worker_id, settings.lease_seconds, self._watchdog.is_fine)
        self._minutes = MinuteCounts(redis, run_sources())
        custody = self._custody(settings, worker_id, queues)
        self._ledger = WorkerLedger(settings, redis, lambda: self._configuration.config.law)
        self._bases = WorkerBases(settings)
        parts = worker_id, self._configuration, redis, queues, self._runner(queues, custody)
        how: Any = {"patience": 2 * settings.suspect_wait if for_suspects else None}
        how |= {"most_bytes": settings.max_vcon_bytes}
        how |= {"custody": custody, "room": self._room(settings, for_suspects=for_suspects)}
        self._worker = Worker(*parts, RunMeter(counted), concurrency=self._concurrency, **how)

    def _room(self, settings: Settings, *, for_suspects: bool) -> BytesInFlight:
        bound = None if for_suspects else settings.max_bytes_in_flight
        return BytesInFlight(bound, settings.max_vcon_bytes, self._connection)

    @property
    def limits(self) -> Limits:
        """How many vCons the current configuration lets this worker run at once."""
        return limits_of(self._concurrency, self._configuration)

    def _log_limits(self) -> None:
        limits = self.limits
        log.info(
            "worker started",
            extra={
                "worker": self._id,
                "chains": shown(self._configuration),
                "count": limits.slots,
                "threads": limits.threads,
                "bytes_in_flight": self._bytes_in_flight,
                "status": f"CONSERVER_VCON_CONCURRENCY={self._concurrency}",
            },
        )

    def _custody(self, settings: Settings, worker_id: str, queues: Queues) -> WorkerCustody:
        if settings.custody == "redis":
            return NO_WORKER_CUSTODY
        # the drivers of Postgres take a third of a worker's start
        from pipeline.worker.postgres_custody import CustodyParts  # noqa: PLC0415

        parts = CustodyParts(settings)
        self._close_custody = parts.close
        return parts.build(worker_id, self._connection, queues)

    def _vcon_lookup(self, settings: Settings) -> VconLookup:
        lookup = VconLookup(
            self._configuration,
            VconStore(self._connection),
            self._readers,
            settings.vcon_redis_expiry,
            settings.max_vcon_bytes,
        )
        storage_fallback.install(StorageFallback(lookup, asyncio.get_running_loop()))
        return lookup

    def _runner(self, queues: Queues, custody: WorkerCustody) -> ChainRunner:
        redis, calls = self._connection, self._calls
        journal = Checkpoints(redis, queues, custody)
        lease_guard = LeaseGuard(self._lease, journal)
        gate = self._destinations
        evaluation = Evaluation(redis, self._configuration, self._bases)
        admission = Admission(LawGate(evaluation), self._ledger)
        tracers = Tracers(calls, admission)
        links = LinkSteps(redis, calls, journal, lease_guard, tracers, gate, admission)
        return chain_runner(redis, links, calls, journal, lease_guard, gate, admission)

    def _plugin_calls(self, settings: Settings) -> PluginCalls:
        threads = max(2 * self.limits.threads, LEAST_THREADS)
        bounds = settings.max_abandoned_calls, self._overgrown.set
        return PluginCalls(threads, self._connection, *bounds, self._fitness.ask)

    def _load(self) -> Configuration:
        found = configurations.load(self._path, environment(), self._installer, **self._lenience)
        yaml_file.put_into_force(found.config)
        log_broken(found.config)
        return found

    async def run(self) -> None:
        """Work until stopped; waits while Redis is unavailable.

        Also ends when plugins have left too many calls running, or have damaged this process. Then
        `stop` ends the runs, and the supervisor starts another worker.
        """
        self._watchdog.start()
        self._log_limits()
        await self._connection.insist(lambda: in_own_thread(self._lease.start))
        beside = [
            asyncio.create_task(self._connections.look_after()),
            asyncio.create_task(self._minutes.run()),
        ]
        working = asyncio.create_task(self._worker.run())
        leaving = asyncio.create_task(self._reason_to_end())
        try:
            await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
            else:
                log.error("worker ending early", extra={"error": leaving.result()})
        finally:
            for task in beside:
                task.cancel()
            if not leaving.done():
                leaving.cancel()
                working.cancel()

    async def _reason_to_end(self) -> str:
        """Wait until this worker has to be replaced; returns the error."""
        damaged = asyncio.create_task(self._fitness.damaged())
        overgrown = asyncio.create_task(_until(self._overgrown))
        try:
            await asyncio.wait([damaged, overgrown], return_when=asyncio.FIRST_COMPLETED)
            if overgrown.done():
                return "too many calls of plugins were left running"
            self.is_damaged = True
            self._damaged()
            return f"a plugin has damaged this process: {damaged.result()}"
        finally:
            damaged.cancel()
            overgrown.cancel()

    async def reload(self) -> None:
        """Adopt the current configuration file, which the service has validated."""
        async with self._reloading:  # an older file must not be adopted after a newer one
            try:
                loaded = await in_own_thread(self._load)
            except ConfigurationError as error:
                log.error("configuration not changed", extra={"error": str(error)})  # noqa: TRY400 -- the problems say it all
                return
            self._configuration.adopt(loaded)
            self._connections.take(loaded.config)
            self._calls.widen(2 * self.limits.threads)
            self._worker.reconfigure()

    async def stop(self, running: asyncio.Task[None], grace: float, hurry: asyncio.Event) -> None:
        """End claiming, and let runs finish within `grace` seconds or until `hurry` is set.

        Other runs go back to the heads of their lists, and so do the claims of a last reply.
        `running` is the task of `run`.
        """
        self._worker.stop()
        ends = [asyncio.create_task(self._worker.idle()), asyncio.create_task(_until(hurry))]
        await asyncio.wait(ends, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        await self._release()
        await asyncio.wait([running], timeout=LAST_CLAIM)
        await self._release()

    async def _release(self) -> None:
        await asyncio.sleep(0)  # so that tasks of new claims have begun, and can be cancelled
        try:
            await self._worker.release()
        except UnavailableError:
            log.warning("Redis unavailable; claims left to the rescue")

    def abandon(self, blockage: Blockage | None) -> None:
        """Settle or return all claims, from a thread, while the event loop is blocked.

        The attempt of the run that blocks it has failed. Claims that cannot be settled here are
        left to the rescue.
        """
        live = blockage.run if blockage else None
        if blockage and live:
            note_failure(blockage, live)
        try:
            asyncio.run(self._worker.abandon(live))
        except (PatchcordError, CommandRefused) as error:
            log.warning("claims left to the rescue", extra={"error": str(error)})

    async def close(self) -> None:
        """Close every connection, thread and storage."""
        self._watchdog.stop()
        await self._destinations.close()
        await self._minutes.close()
        await in_own_thread(self._lease.stop)
        written = self._configuration.plugins.storages.values()
        await self._calls.close_storages([*written, *self._lookup.loaded])
        await self._connections.close()
        self._calls.close()
        self._readers.close()
        self._close_custody()
        self._ledger.close()
        self._bases.close()
        await self._connection.close()


def _loop_limits(settings: Settings) -> LoopLimits:
    return LoopLimits(settings.blocked_loop_warning, settings.blocked_loop_limit)


async def _until(event: asyncio.Event) -> None:
    await event.wait()
