"""Watches the event loop of a process of the service whose PYTHONPATH has this folder.

Python imports this file at its start. The longest holds of the loop since the file
`$LOOP_HOLDS/begin` was last touched are in `$LOOP_HOLDS/{service|worker}.json`, written every
`SECONDS` while they grow.
"""

import asyncio
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

SECONDS = 0.1
_run = asyncio.Runner.run


def run[T](runner: asyncio.Runner, main: Coroutine[Any, Any, T], **options: Any) -> T:
    """`asyncio.Runner.run`, watched."""
    return _run(runner, _watched(main), **options)


async def _watched[T](main: Coroutine[Any, Any, T]) -> T:
    watching = asyncio.create_task(_watch(Path(os.environ["LOOP_HOLDS"])))
    try:
        return await main
    finally:
        watching.cancel()


async def _watch(folder: Path) -> None:
    from devstack.loop_monitor import LoopMonitor  # noqa: PLC0415 -- `sys.path` is set by now

    name = "worker" if "worker" in sys.argv else "service"
    monitor, begun = LoopMonitor(), 0
    while True:
        await asyncio.sleep(SECONDS)
        begin = folder / "begin"
        if begin.exists() and (now := begin.stat().st_mtime_ns) != begun:
            begun = now
            monitor.reset()
        monitor.write(folder / f"{name}.json")


if "LOOP_HOLDS" in os.environ:
    asyncio.Runner.run = run  # type: ignore[assignment,method-assign]
