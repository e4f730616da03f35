"""Work that shares its thread with nothing."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from core.own_thread import in_own_thread


@contextmanager
def a_full_executor() -> Iterator[None]:
    """Every thread that `asyncio.to_thread` has here hangs."""
    answer = threading.Event()
    threads = min(32, (os.cpu_count() or 1) + 4)
    hanging = [asyncio.ensure_future(asyncio.to_thread(answer.wait)) for _ in range(threads)]
    yield
    answer.set()
    assert len(hanging) == threads


async def test_it_runs_while_the_shared_executor_hangs() -> None:
    """What a function returns or raises comes back, whatever hangs elsewhere."""
    with a_full_executor():
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
