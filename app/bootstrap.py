"""Builds the parts of the service process, starts them, and stops them in order."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from functools import partial

from app.freeze_watch import FreezeWatch
from app.health import health_server
from app.published_actions import offered_actions
from app.readiness import Readiness
from app.signals import LINGER, StopSignals, end_within, on_hangup, until
from app.supervisor import Supervisor, Suspects, workers
from app.worker_progress import StallLimits
from core.action_registry import ActionRegistry
from core.backoff import Backoff
from core.credentials import Credentials
from core.db.database import database
from core.db.registrations import Records
from core.db.runs import RunHistory
from core.db.usage_and_audit import PartnerRecords
from core.errors import PatchcordError
from core.helper_process import HelperLimits, HelperProcess
from core.observability import metrics
from core.observability.logs import keep_names
from core.observability.loop_watch import LoopWatch
from core.observability.metrics_export import MetricsPage
from core.observability.telemetry import Telemetry
from core.phoenix.channel import Channel
from core.plugboard.client import TOPIC, PlugboardClient
from core.plugboard.handshake import check_request_line, handshake_url
from core.plugboard.session import Limits
from core.rpc.concurrency_limiter import ConcurrencyLimiter
from core.rpc.dispatcher import dispatcher
from core.rpc.request_handler import RequestLimits, reply_format
from core.settings import Settings
from core.thread_pool import BlockingPool, in_own_thread, widen_shared_pool
from lib.host import receive_plugins
from pipeline.composition import PipelineComposition
from pipeline.live_config import until_still
from pipeline.runs.factories import config_path

log = logging.getLogger(__name__)

EXIT_STOPPED, EXIT_RETIRED = 0, 3


def bind_gauges(
    *,
    joined: Callable[[], bool],
    limiter: ConcurrencyLimiter,
    threads: BlockingPool,
    workers: Supervisor | None,
) -> None:
    """Let the gauges of these parts be read at the time of each request for `/metrics`."""
    loop = asyncio.get_running_loop()
    metrics.TASKS.set_function(lambda: len(asyncio.all_tasks(loop)))
    metrics.JOINED.set_function(joined)
    metrics.IN_FLIGHT.set_function(lambda: limiter.running)
    metrics.WAITING.set_function(lambda: limiter.waiting)
    metrics.GIVING_WAY.set_function(lambda: limiter.suspended)
    metrics.STUCK_THREADS.set_function(lambda: threads.stuck)
    if workers is not None:
        metrics.WORKERS.set_function(lambda: workers.running)
        metrics.STALLED_WORKERS.set_function(lambda: workers.stalled)
        metrics.SUSPECT_WORKERS.set_function(lambda: workers.suspect_workers)


async def serve(settings: Settings) -> int:
    """Run the service until SIGTERM or SIGINT, and return the exit code.

    The process ends `LINGER` s later even if a plugin's thread still runs.

    Raises:
        ConfigurationError: when it cannot start as configured.
    """
    if settings.has_pipeline:
        await until_still(config_path(settings))
    exit_code = await Service(settings).run(StopSignals())
    end_within(LINGER, exit_code)
    return exit_code


class Service:
    """The parts of one service process."""

    def __init__(self, settings: Settings) -> None:
        """Build all parts without connecting to anything.

        Raises:
            ConfigurationError: with all problems.
        """
        receive_plugins(settings)
        self._page = MetricsPage()
        self._telemetry = Telemetry(settings, self._page.collect)  # before plugins are loaded
        database.initialize(settings)
        self._settings, self._draining = settings, False
        self._freeze_watch = FreezeWatch(settings.frozen_service_limit)
        self._loop_watch = LoopWatch()
        self._records = Records(database)
        self._threads = BlockingPool(settings.blocking_threads)
        self._helper = HelperProcess(
            HelperLimits(settings.large_document_seconds, settings.large_document_memory)
        )
        self._pipeline = self._build_pipeline() if settings.has_pipeline else None
        self._workers = self._build_workers(self._pipeline) if self._pipeline else None
        actions = offered_actions(settings)
        metrics.REQUESTS.offer(actions)
        keep_names(name for action in actions.values() for name in action.secret_names())
        self._limiter = _limiter(settings)
        self._client = self._build_client(actions)
        self._readiness = Readiness(
            joined=lambda: self._client.joined,
            draining=lambda: self._draining,
            redis=self._pipeline.connection.reachable if self._pipeline else None,
            workers=self._workers,
            token=self._token_is_good if settings.strict_token else None,
        )
        sources = self._readiness.checks, self._page.render, self._redis_warnings
        self._health = health_server(settings, *sources)
        bind_gauges(
            joined=lambda: self._client.joined,
            limiter=self._limiter,
            threads=self._threads,
            workers=self._workers,
        )

    def _redis_warnings(self) -> Sequence[str]:
        return self._pipeline.redis_watch.warnings if self._pipeline else ()

    def _token_is_good(self) -> bool:
        return not self._client.credentials.current.deleted

    def _build_pipeline(self) -> PipelineComposition:
        records = RunHistory(database), PartnerRecords(database)
        return PipelineComposition(
            self._settings, *records, self._configuration_changed, self._helper
        )

    def _build_workers(self, front: PipelineComposition) -> Supervisor:
        variables = {
            "METRICS_FOLDER": self._page.folder,
            "CONSERVER_CONFIG_FILE": front.snapshot.path,
        }
        suspects = Suspects(
            front.suspects, self._settings.suspect_wait, self._settings.suspect_workers
        )
        stalls = StallLimits(
            self._settings.blocked_loop_warning, self._settings.stall_limit, front.worker_stalled
        )
        return workers(
            self._settings.conserver_workers,
            front.worker_died,
            self._page.take_over,
            variables,
            suspects,
            stalls,
        )

    async def _configuration_changed(self) -> None:
        if self._workers:
            self._workers.reload()

    def _build_client(self, actions: ActionRegistry) -> PlugboardClient:
        settings = self._settings
        url_for = partial(
            handshake_url,
            settings.websocket_url,
            actions=actions.to_dict(),
            vsn=settings.plugboard_vsn,
        )
        url = url_for(settings.token.get_secret_value())
        size = check_request_line(url, settings.request_line_limit)
        log.info("offering actions", extra={"actions": list(actions), "count": size})
        backoff = _backoff(settings)
        return PlugboardClient(
            url_for=url_for,
            credentials=Credentials(settings.token),
            channel=Channel(
                TOPIC,
                vsn=settings.plugboard_vsn,
                heartbeat_interval=settings.heartbeat_interval,
                heartbeat_timeout=settings.heartbeat_timeout,
                join_timeout=settings.join_timeout,
                rejoin=backoff,
            ),
            dispatcher=dispatcher(actions, run_blocking=self._threads.run, offload=self._helper),
            limiter=self._limiter,
            events=ActionRegistry.discover("events"),
            reply_format=reply_format(settings.reply_format, settings.reply_twice_bytes),
            reconnect=backoff,
            records=self._records,
            pipeline=self._pipeline.service if self._pipeline else None,
            relay=self._pipeline.answers if self._pipeline else None,
            limits=_limits(settings),
            offload=self._helper,
            request_limits=RequestLimits(settings.action_timeout, settings.max_vcon_bytes),
        )

    async def run(self, signals: StopSignals) -> int:
        """Serve until a stop signal or the deletion of the service; return the exit code."""
        widen_shared_pool(self._settings.max_concurrency)
        if self._health:
            self._health.start()
        self._loop_watch.start()
        self._freeze_watch.start()
        main = [asyncio.create_task(self._client.run()), asyncio.create_task(until(signals.asked))]
        beside = [
            asyncio.create_task(self._readiness.watch()),
            asyncio.create_task(self._migrate()),
        ]
        if self._pipeline and self._workers:
            on_hangup(self._pipeline.reload)
            self._page.look_first(self._pipeline.depths.look)
            main.append(asyncio.create_task(self._workers.run()))
            main.append(asyncio.create_task(self._pipeline.run()))
        try:
            await _first_to_end(main, beside)
        finally:
            await self._stop(main + beside, signals.hurry)
        return EXIT_RETIRED if self._client.retired else EXIT_STOPPED

    async def _migrate(self) -> None:
        """Migrate as soon as Postgres can be reached, then start to write registrations."""
        attempt = 0
        while self._settings.migrate_on_start:
            try:
                await in_own_thread(database.migrate)
            except PatchcordError as error:
                if attempt == 0:
                    log.error("database not migrated", extra={"error": str(error)})  # noqa: TRY400 -- says all there is
                attempt += 1
                await asyncio.sleep(_backoff(self._settings).wait(attempt))
            else:
                break
        self._records.start()  # needs the tables
        self._readiness.migrated = True

    async def _stop(self, tasks: list[asyncio.Task[None]], hurry: asyncio.Event) -> None:
        self._draining = True
        grace = self._settings.shutdown_grace
        log.info("stopping", extra={"seconds": grace})
        leaving = [asyncio.create_task(self._leave(grace, hurry))]
        if self._workers:
            leaving.append(asyncio.create_task(self._workers.stop(grace, hurry)))
        await asyncio.gather(*leaving)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._close()

    async def _leave(self, grace: float, hurry: asyncio.Event) -> None:
        leaving = asyncio.create_task(self._client.leave(grace))
        ends = [leaving, asyncio.create_task(until(hurry))]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if not leaving.done():
            await self._client.leave(0)  # unfinished requests get 503
        for end in ends:
            end.cancel()

    async def _close(self) -> None:
        if self._pipeline:
            await self._pipeline.close()
        await in_own_thread(self._records.close, 5.0)
        self._threads.close()
        self._helper.close()
        self._loop_watch.stop()
        self._freeze_watch.stop()
        if self._health:
            await in_own_thread(self._health.close)
        await in_own_thread(self._telemetry.close)
        self._page.close()
        await in_own_thread(database.close)


def _limiter(settings: Settings) -> ConcurrencyLimiter:
    return ConcurrencyLimiter(
        max_running=settings.max_concurrency,
        max_waiting=settings.max_queue,
        max_bytes=settings.max_request_memory,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        settings.request_line_limit,
        settings.max_frame_bytes,
        settings.max_unread_bytes,
        settings.max_handover_bytes,
    )


async def _first_to_end(main: list[asyncio.Task[None]], beside: list[asyncio.Task[None]]) -> None:
    """Return when one of the main tasks ends; raise the error of any task."""
    pending = {*main, *beside}
    while not any(task.done() for task in main):
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


def _backoff(settings: Settings) -> Backoff:
    return Backoff(settings.reconnect_min, settings.reconnect_max, random.random)
