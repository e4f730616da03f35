"""Threads for the disk: one for all files that wait, or several if the disk is slow.

On a quick disk the change of threads costs more than a file. On a slow one, such as a network's, or
with `fsync`, files that are written at the same time take no longer than one.
"""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

THREADS = 32
SECONDS = 0.05
"""Seconds that one thread shall take for its part of the files."""
_WEIGHT = 0.3
"""The weight of the latest measurement."""

_pools: dict[int, ThreadPoolExecutor] = {}
_seconds: dict[Path, float] = {}


async def in_threads[T, R](
    path: Path, write: Callable[[Sequence[T]], Sequence[R]], items: Sequence[T]
) -> list[R]:
    """The results of `write` for parts of the items, in their order.

    `path` is the folder on the disk whose speed counts.
    """
    size = max(1, min(len(items), int(SECONDS / max(_seconds.get(path, 0.0), 1e-6))))
    parts = [items[begin : begin + size] for begin in range(0, len(items), size)]
    loop, pool = asyncio.get_running_loop(), _pool()

    def timed(part: Sequence[T]) -> Sequence[R]:
        began = time.perf_counter()
        results = write(part)
        took = (time.perf_counter() - began) / len(part)
        _seconds[path] = took * _WEIGHT + _seconds.get(path, took) * (1 - _WEIGHT)
        return results

    done = await asyncio.gather(*(loop.run_in_executor(pool, timed, part) for part in parts))
    return list(chain.from_iterable(done))


def _pool() -> ThreadPoolExecutor:
    """This process's threads: those of the parent are not there after a fork."""
    process = os.getpid()
    if process not in _pools:
        _pools.clear()
        _pools[process] = ThreadPoolExecutor(THREADS, thread_name_prefix="plugin_file")
    return _pools[process]
