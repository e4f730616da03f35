"""The tasks that async plugins start, and the tasks and threads that they leave running.

A plugin's task that raises `SystemExit` or `KeyboardInterrupt` would end the worker's event loop.
The task factory of this file turns it into an ordinary exception, as `contained_async` does for the
plugin itself.
"""

import asyncio
import inspect
import logging
import os
import threading
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any

from pipeline.plugins.errors import NOT_NAMED, Plugin, PluginError, describe, end_if_forked
from pipeline.runs.run_state import current_call

log = logging.getLogger(__name__)

SHOWN = 5
"""The most names of tasks or threads in a log line."""
_OURS = (
    "plugin",
    "asyncio_",
    "lease",
    "watchdog",
    "step reports",
    "input",
    "health",
    "action",
    "records",
    "shared",
    "otlp",
    "MainThread",
    "loop watch",
    "lookup",
    "sqlite",
)
"""Prefixes of the service's own threads, and of those of `asyncio.to_thread`."""


def contain_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Set the task factory of this file on a loop.

    To be called again after a plugin has run: a factory that it has set would also make the tasks
    of the worker and of all other plugins.
    """
    if loop.get_task_factory() is not _task:
        loop.set_task_factory(_task)


def _task(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any
) -> asyncio.Task[Any]:
    call = current_call.get()
    if call is None or not inspect.iscoroutine(work):
        return asyncio.Task(work, loop=loop, **options)
    task = asyncio.Task(_contained(work), loop=loop, **options)
    call.tasks.add(task)
    return task


async def _contained(work: Coroutine[Any, Any, Any]) -> Any:
    process = os.getpid()
    try:
        return await work
    except (SystemExit, KeyboardInterrupt) as error:
        raise PluginError(describe(error)) from error
    finally:
        end_if_forked(process, NOT_NAMED)


class Leftovers:
    """Logs each plugin once that leaves tasks or threads running."""

    def __init__(self) -> None:
        self._logged: set[tuple[str, str]] = set()
        self._known = set(threading.enumerate())

    def of_tasks(self, tasks: Iterable[asyncio.Task[Any]], plugin: Plugin) -> None:
        """Log tasks that a call has started and not ended."""
        self._log("tasks", [each.get_name() for each in tasks if not each.done()], plugin)

    def of_threads(self, before: int, plugin: Plugin) -> None:
        """Log new threads after a call; `before`: the number of threads at its start."""
        if threading.active_count() > before:
            self._log("threads", list(self._new_threads()), plugin)

    def _new_threads(self) -> Iterator[str]:
        now = set(threading.enumerate())
        new, self._known = now - self._known, now
        return (each.name for each in new if not each.name.startswith(_OURS))

    def _log(self, kind: str, names: list[str], plugin: Plugin) -> None:
        key = kind, str(plugin)
        if not names or key in self._logged:
            return
        self._logged.add(key)
        shown = f"{kind} still run: {', '.join(names[:SHOWN])}"
        log.warning(
            "plugin left something running", extra={"error": shown, "count": len(names), **plugin}
        )
