"""Builds and runs one worker process; the service starts CONSERVER_WORKERS of them."""

import asyncio
import os

from app.signals import LINGER, StopSignals, end_by_alarm, end_within, on_hangup, on_input, until
from app.worker_progress import WorkerProgress
from core import request_context
from core.concurrency.thread_pool import in_own_thread, widen_shared_pool
from core.observability.metrics_export import MetricsFile
from core.observability.telemetry import Telemetry
from core.settings import Settings
from lib.vcon_server.host import receive_plugins
from lib.web import http_client
from pipeline.config import yaml_file
from pipeline.worker.process import WorkerProcess
from pipeline.worker.run_settler import current_run_fields
from pipeline.worker.watchdog import Blockage

EXIT_STOPPED, EXIT_BLOCKED, EXIT_DAMAGED = 0, 5, 6
END_SECONDS = 5.0
"""Seconds beyond the grace until a damaged process is ended by a signal."""
ABANDON_SECONDS = 5.0
"""Most seconds for giving runs back while the event loop is blocked."""


async def work(settings: Settings, worker_id: str, *, for_suspects: bool = False) -> int:
    """Run chains until a stop signal or the end of the service process; return the exit code.

    With `for_suspects` the worker runs suspects only, and ends when none are left. The process ends
    `LINGER` s after the last run even if a plugin's thread still runs.

    Raises:
        ConfigurationError: when it cannot start as configured.
    """
    receive_plugins(settings, yaml_file.document)
    request_context.add_source(current_run_fields)
    numbers = MetricsFile(settings.metrics_folder)
    telemetry = Telemetry(settings)  # before plugins are loaded
    progress = _progress(settings)

    def blocked(blockage: Blockage) -> None:
        end_within(ABANDON_SECONDS, EXIT_BLOCKED)
        if blockage.run is not None:  # otherwise the rescue turns all runs in flight into suspects
            worker.abandon(blockage)
        numbers.write()
        os._exit(EXIT_BLOCKED)

    worker = WorkerProcess(
        settings,
        worker_id,
        numbers.changed,
        for_suspects=for_suspects,
        beat=progress.beat if progress else lambda _: None,
        blocked=blocked,
        damaged=lambda: end_by_alarm(settings.shutdown_grace + END_SECONDS),
    )
    signals = StopSignals()  # before this line a signal ends the process: nothing is claimed yet
    _fit_pools(worker.limits.at_once)
    _handle_service_commands(worker, signals)
    try:
        await _until_stopped(worker, signals, settings.shutdown_grace)
    finally:
        if worker.is_damaged:  # runs are given back; threads and files may be unavailable
            os._exit(EXIT_DAMAGED)
        end_within(LINGER, EXIT_STOPPED)
    numbers.write()
    await worker.close()
    await _end_reports(progress, telemetry)
    return EXIT_STOPPED


def _fit_pools(at_once: int) -> None:
    """Threads and connections for so many vCons at once."""
    widen_shared_pool(at_once)
    http_client.fit(at_once)


def _handle_service_commands(worker: WorkerProcess, signals: StopSignals) -> None:
    """Reload when the service writes to standard input; stop when it closes that."""
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = asyncio.create_task(_reloaded(worker))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    def orphaned() -> None:
        signals.asked.set()
        signals.hurry.set()

    on_hangup(reload)
    on_input(received=reload, closed=orphaned, stuck=lambda: worker.abandon(None))


async def _reloaded(worker: WorkerProcess) -> None:
    await worker.reload()
    http_client.fit(worker.limits.at_once)


def _progress(settings: Settings) -> WorkerProgress | None:
    """The page shared with the service; None in a worker that was started by hand."""
    if settings.progress_fd is None:
        return None
    return WorkerProgress(settings.progress_fd, settings.stall_limit)


async def _end_reports(progress: WorkerProgress | None, telemetry: Telemetry) -> None:
    await http_client.close()
    if progress is not None:
        progress.stop()
    await in_own_thread(telemetry.close)


async def _until_stopped(worker: WorkerProcess, signals: StopSignals, grace: float) -> None:
    running = asyncio.create_task(worker.run())
    asked = asyncio.create_task(until(signals.asked))
    await asyncio.wait([running, asked], return_when=asyncio.FIRST_COMPLETED)
    await worker.stop(running, grace, signals.hurry)
    asked.cancel()
    if running.done():
        running.result()
    running.cancel()  # it may be waiting for Redis
