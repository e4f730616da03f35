"""What `/metrics` reads when somebody asks, rather than being told whenever it changes."""

import asyncio
from collections.abc import Callable

from core import metrics
from core.blocking_pool import BlockingPool
from core.request_desk import RequestDesk
from core.supervisor import Supervisor


def show(
    *,
    joined: Callable[[], bool],
    desk: RequestDesk,
    threads: BlockingPool,
    workers: Supervisor | None,
) -> None:
    """From now on the gauges say how it is with these."""
    loop = asyncio.get_running_loop()
    metrics.TASKS.set_function(lambda: len(asyncio.all_tasks(loop)))
    metrics.JOINED.set_function(joined)
    metrics.IN_FLIGHT.set_function(lambda: desk.running)
    metrics.WAITING.set_function(lambda: desk.waiting)
    metrics.GIVING_WAY.set_function(lambda: desk.aside)
    metrics.STUCK_THREADS.set_function(lambda: threads.stuck)
    if workers is not None:
        metrics.WORKERS.set_function(lambda: workers.running)
        metrics.STALLED_WORKERS.set_function(lambda: workers.stalled)
        metrics.SUSPECT_WORKERS.set_function(lambda: workers.running_apart)
