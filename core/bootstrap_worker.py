"""Puts one worker process together; the service starts as many as CONSERVER_WORKERS says."""

import asyncio

from core import log_context
from core.metrics_file import MetricsFile
from core.own_thread import in_own_thread, widen_shared_pool
from core.settings import Settings
from core.signals import LINGER, StopSignals, end_within, on_hangup, on_input, until
from core.telemetry import Telemetry
from lib.host import receive_guests
from pipeline.observers import run_fields
from pipeline.worker_process import WorkerProcess

EXIT_STOPPED = 0


async def work(settings: Settings, worker_id: str, *, for_suspects: bool = False) -> int:
    """Run chains until told to stop, or until the service is gone; the exit code.

    One `for_suspects` runs these alone, and ends when there are none.

    The process ends `LINGER` s after that even if a guest's thread, which nobody can stop, runs on.

    Raises:
        ConfigurationError: when it cannot start as configured.
    """
    receive_guests(settings)
    log_context.say_also(run_fields)
    numbers = MetricsFile(settings.metrics_folder)
    telemetry = Telemetry(settings)  # before guests are loaded
    worker = WorkerProcess(settings, worker_id, numbers.changed, for_suspects=for_suspects)
    signals = StopSignals()  # until here a signal ends the process: nothing has been claimed
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = asyncio.create_task(worker.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    def orphaned() -> None:
        signals.asked.set()
        signals.hurry.set()

    widen_shared_pool(settings.conserver_vcon_concurrency)
    on_hangup(reload)
    await on_input(said=reload, closed=orphaned)
    try:
        await _until_stopped(worker, signals, settings.shutdown_grace)
    finally:
        end_within(LINGER, EXIT_STOPPED)
    numbers.write()
    await worker.close()
    await in_own_thread(telemetry.close)
    return EXIT_STOPPED


async def _until_stopped(worker: WorkerProcess, signals: StopSignals, grace: float) -> None:
    running = asyncio.create_task(worker.run())
    asked = asyncio.create_task(until(signals.asked))
    await asyncio.wait([running, asked], return_when=asyncio.FIRST_COMPLETED)
    await worker.stop(running, grace, signals.hurry)
    asked.cancel()
    if running.done():
        running.result()
    running.cancel()  # it may be waiting for Redis
