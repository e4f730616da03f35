"""Work that shares its thread with nothing."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.concurrency.thread_pool import in_own_thread, widen_shared_pool
from core.observability.metrics_export import MetricsFile


@contextmanager
def hanging(threads: int) -> Iterator[None]:
    """So many threads of the shared pool hang."""
    answer = threading.Event()
    calls = [asyncio.ensure_future(asyncio.to_thread(answer.wait)) for _ in range(threads)]
    yield
    answer.set()
    assert len(calls) == threads


async def test_it_runs_while_the_shared_executor_hangs() -> None:
    """What a function returns or raises comes back."""
    with hanging(min(32, (os.cpu_count() or 1) + 4)):
        await asyncio.sleep(0)
        assert await in_own_thread(divmod, 7, 2) == (3, 1)
        assert await in_own_thread(int, "11", base=2) == 3
        with pytest.raises(ZeroDivisionError):
            await in_own_thread(divmod, 7, 0)


async def test_a_cancelled_caller_leaves_the_thread_alone() -> None:
    """The work goes on to its end, and nothing is raised there."""
    begun, answer, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        answer.wait()
        done.set()

    caller = asyncio.ensure_future(in_own_thread(work))
    await asyncio.to_thread(begun.wait)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    answer.set()
    assert await asyncio.to_thread(done.wait, 20)


async def test_the_shared_pool_is_wide_enough_for_all_at_once() -> None:
    """With as many hanging calls as announced, further threads are free."""
    widen_shared_pool(40)
    with hanging(40):
        async with asyncio.timeout(60):
            assert await asyncio.to_thread(divmod, 7, 2) == (3, 1)


async def test_a_gauge_that_hangs_holds_one_thread(tmp_path: Path) -> None:
    """While a worker's numbers are being written, no other thread begins to write them."""
    file, begun, answer, writes = MetricsFile(tmp_path), threading.Event(), threading.Event(), []

    def write() -> None:
        with file._lock:
            writes.append(1)
            begun.set()
            answer.wait()

    file.write = write  # type: ignore[method-assign]
    file._write_beside()
    await in_own_thread(begun.wait)
    for _ in range(3):
        file._write_beside()
    answer.set()
    assert file._writing is not None
    await file._writing
    assert writes == [1]
    assert file._due is not None
    file._due.cancel()
