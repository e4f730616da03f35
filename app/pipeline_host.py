"""What every process with a pipeline has, for `app.bootstrap` and `app.bootstrap_api`.

The order of the stop: `/ready` answers 503, then the sources of requests finish what runs while the
workers finish their runs, then the tasks beside them end, and connections and threads close.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from app.freeze_watch import FreezeWatch
from app.health import health_server
from app.readiness import Readiness
from app.signals import StopSignals, on_hangup, until
from app.supervisor import Supervisor, Suspects, workers
from app.worker_progress import StallLimits
from core.concurrency.backoff import Backoff
from core.concurrency.helper_process import HelperLimits, HelperProcess
from core.concurrency.thread_pool import in_own_thread, widen_shared_pool
from core.db.database import database
from core.db.runs import RunHistory
from core.db.usage_and_audit import PartnerRecords
from core.errors import PatchcordError
from core.observability import metrics
from core.observability.loop_watch import LoopWatch
from core.observability.metrics_export import MetricsPage
from core.observability.telemetry import Telemetry
from core.settings import Settings
from lib.vcon_server.host import receive_plugins
from pipeline.composition import PipelineComposition
from pipeline.config import yaml_file
from pipeline.operator.register import HostFacts
from pipeline.worker.slots.limits import limits_of

log = logging.getLogger(__name__)


class RequestSource(NamedTuple):
    """The Plugboard client, or the server of the HTTP API.

    `leave` finishes the running requests within so many seconds; a second call with 0 ends them.
    """

    run: Callable[[], Coroutine[Any, Any, None]]
    leave: Callable[[float], Coroutine[Any, Any, None]]


class PipelineHost:
    """Telemetry, database, pipeline, workers and health of one process."""

    def __init__(self, settings: Settings, worker_count: int) -> None:
        """Build all parts without connecting to anything; 0 workers: others run the chains.

        Raises:
            ConfigurationError: with all problems.
        """
        receive_plugins(settings, yaml_file.document)
        self._page = MetricsPage()
        self._telemetry = Telemetry(settings, self._page.collect)  # before plugins are loaded
        database.initialize(settings)
        self._settings, self._draining = settings, False
        self._freeze_watch = FreezeWatch(settings.frozen_service_limit)
        self._loop_watch = LoopWatch()
        self.helper = HelperProcess(
            HelperLimits(settings.large_document_seconds, settings.large_document_memory)
        )
        self.pipeline = self._build_pipeline() if settings.has_pipeline else None
        self._workers: Supervisor | None = None
        if self.pipeline and worker_count:
            self._workers = self._build_workers(self.pipeline, worker_count)

    def _build_pipeline(self) -> PipelineComposition:
        records = RunHistory(database), PartnerRecords(database)
        return PipelineComposition(
            self._settings, *records, self._configuration_changed, self.helper
        )

    def _build_workers(self, front: PipelineComposition, count: int) -> Supervisor:
        variables: dict[str, Path | str] = {
            "METRICS_FOLDER": self._page.folder,
            "CONSERVER_CONFIG_FILE": front.snapshot.path,
            "REPLICA_ID": front.register.id,
        }
        suspects = Suspects(
            front.suspects, self._settings.suspect_wait, self._settings.suspect_workers
        )
        stalls = StallLimits(
            self._settings.blocked_loop_warning, self._settings.stall_limit, front.worker_stalled
        )
        told = front.worker_died, self._page.take_over, variables, suspects, stalls
        return workers(count, *told, self._secrets_of_workers)

    def _secrets_of_workers(self) -> dict[str, str]:
        """What a worker that starts now needs.

        With custody a worker commits the ends of its runs; under a law it reads recorded bases, and
        commits deliveries.
        """
        assert self.pipeline is not None
        config = self.pipeline.configuration.config
        is_recorded = any(chain.custody for chain in config.chains.values())
        if self._settings.custody != "postgres" and config.law is None and not is_recorded:
            return {}
        return {"POSTGRES_PASSWORD_FD": self._settings.postgres_password.get_secret_value()}

    async def _configuration_changed(self) -> None:
        if self._workers:
            self._workers.reload()

    def listen(
        self,
        joined: Callable[[], bool] | None = None,
        token: Callable[[], bool] | None = None,
        about: Callable[[], HostFacts] = lambda: HostFacts("api"),
    ) -> None:
        """Open the health port; `joined` and `token` are conditions of `/ready` if given.

        `about`: what the register of replicas tells of this process.

        Raises:
            ConfigurationError: when the port is in use.
        """
        self._readiness = Readiness(
            joined=joined,
            draining=lambda: self._draining,
            redis=self.pipeline.takes_vcons if self.pipeline else None,
            workers=self._workers,
            token=token,
        )
        sources = self._readiness.checks, self._page.render, self._redis_warnings
        self._health = health_server(self._settings, *sources)
        if self.pipeline:
            self.pipeline.register.about = lambda: self._facts(about())
        self._bind_gauges()

    def _facts(self, source: HostFacts) -> HostFacts:
        """What the source of requests tells, and what is the same for all sources."""
        workers = self._workers
        return source._replace(
            workers=workers.ids if workers else (),
            slots=workers.count * self._slots_of_a_worker() if workers else 0,
            postgres=self._readiness.postgres_problem,
            stopping=self._draining,
        )

    def _slots_of_a_worker(self) -> int:
        if self.pipeline is None:
            return 0
        return limits_of(
            self._settings.conserver_vcon_concurrency, self.pipeline.configuration
        ).slots

    def _redis_warnings(self) -> Sequence[str]:
        if self.pipeline is None:
            return ()
        return [*filter(None, [self.pipeline.custody_problem]), *self.pipeline.redis_watch.warnings]

    def _bind_gauges(self) -> None:
        loop, workers = asyncio.get_running_loop(), self._workers
        metrics.TASKS.set_function(lambda: len(asyncio.all_tasks(loop)))
        if workers is not None:
            metrics.WORKERS.set_function(lambda: workers.running)
            metrics.STALLED_WORKERS.set_function(lambda: workers.stalled)
            metrics.SUSPECT_WORKERS.set_function(lambda: workers.suspect_workers)

    async def run(
        self,
        signals: StopSignals,
        sources: Sequence[RequestSource],
        migrated: Callable[[], None] = lambda: None,
    ) -> None:
        """Run until a stop signal, or until a source ends, and stop; `close` closes the rest.

        `migrated` is called once the database has the tables.
        """
        widen_shared_pool(self._settings.max_concurrency)
        if self._health:
            self._health.start()
        self._loop_watch.start()
        self._freeze_watch.start()
        main = [asyncio.create_task(source.run()) for source in sources]
        main.append(asyncio.create_task(until(signals.asked)))
        beside = [
            asyncio.create_task(self._readiness.watch()),
            asyncio.create_task(self._migrate(migrated)),
        ]
        if self.pipeline:
            on_hangup(self.pipeline.reload)
            self._page.look_first(self.pipeline.depths.look)
            main.append(asyncio.create_task(self.pipeline.run()))
        if self._workers:
            main.append(asyncio.create_task(self._workers.run()))
        try:
            await _first_to_end(main, beside)
        finally:
            await self._stop(main + beside, sources, signals.hurry)

    async def _migrate(self, migrated: Callable[[], None]) -> None:
        """Migrate as soon as Postgres can be reached."""
        attempt = 0
        while self._settings.migrate_on_start:
            try:
                await in_own_thread(database.migrate)
            except PatchcordError as error:
                if attempt == 0:
                    log.error("database not migrated", extra={"error": str(error)})  # noqa: TRY400 -- says all there is
                attempt += 1
                await asyncio.sleep(connection_backoff(self._settings).wait(attempt))
            else:
                break
        migrated()
        self._readiness.migrated = True

    async def _stop(
        self,
        tasks: list[asyncio.Task[None]],
        sources: Sequence[RequestSource],
        hurry: asyncio.Event,
    ) -> None:
        self._draining = True
        grace = self._settings.shutdown_grace
        log.info("stopping", extra={"seconds": grace})
        leaving = [asyncio.create_task(_leave(source, grace, hurry)) for source in sources]
        if self._workers:
            leaving.append(asyncio.create_task(self._workers.stop(grace, hurry)))
        await asyncio.gather(*leaving)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.pipeline:
            await self.pipeline.close()

    async def close(self) -> None:
        """Close what the sources of requests still need at their end, the database last."""
        self.helper.close()
        self._loop_watch.stop()
        self._freeze_watch.stop()
        if self._health:
            await in_own_thread(self._health.close)
        await in_own_thread(self._telemetry.close)
        self._page.close()
        await in_own_thread(database.close)


async def _leave(source: RequestSource, grace: float, hurry: asyncio.Event) -> None:
    leaving = asyncio.create_task(source.leave(grace))
    ends = [leaving, asyncio.create_task(until(hurry))]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    if not leaving.done():
        await source.leave(0)  # unfinished requests get 503
    for end in ends:
        end.cancel()


async def _first_to_end(main: list[asyncio.Task[None]], beside: list[asyncio.Task[None]]) -> None:
    """Return when one of the main tasks ends; raise the error of any task."""
    pending = {*main, *beside}
    while not any(task.done() for task in main):
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


def connection_backoff(settings: Settings) -> Backoff:
    """The pauses between attempts to reach the Plugboard or Postgres."""
    return Backoff(settings.reconnect_min, settings.reconnect_max, random.random)
