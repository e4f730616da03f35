"""How much time is left, as plugins are told."""

import asyncio
import math
import time
from types import SimpleNamespace

import pytest

from pipeline.runs import call_scope
from pipeline.runs.call_scope import MovingLimit, remaining, time_limit


async def test_the_nearest_end_counts() -> None:
    """Within limits of chain and link, and no longer after them; there is none outside."""
    assert remaining() == math.inf
    async with time_limit(100):
        async with time_limit(1000):
            assert 90 < remaining() <= 100
        async with time_limit(10):
            assert 5 < remaining() <= 10
        async with time_limit(None):
            assert 90 < remaining() <= 100
    assert remaining() == math.inf


async def test_tasks_and_threads_know_it_too() -> None:
    """Those that are started inside."""

    async def ask() -> float:
        return remaining()

    async with time_limit(100):
        assert 90 < await asyncio.create_task(ask()) <= 100
        assert 90 < await asyncio.to_thread(remaining) <= 100


async def test_it_ends_what_takes_too_long() -> None:
    """As `asyncio.timeout` does, which can be asked."""
    with pytest.raises(TimeoutError):
        async with time_limit(0) as limit:
            await asyncio.Event().wait()
    assert limit is not None
    assert limit.expired()


async def test_a_moving_limit_counts_from_the_last_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked when the first step would be out of time, and again for each that began since."""
    asked: list[float] = []
    clock = SimpleNamespace(perf_counter=lambda: 100.0, monotonic=time.monotonic)
    monkeypatch.setattr(call_scope, "time", clock)

    def began() -> float:
        asked.append(100.0 if len(asked) < 3 else 99.0)
        return asked[-1]

    with pytest.raises(TimeoutError):
        async with MovingLimit(0.01, began):
            await asyncio.get_running_loop().create_future()
    assert len(asked) == 4


async def test_a_moving_limit_leaves_what_is_quick_alone() -> None:
    """It asks nothing and cancels nothing."""

    def never() -> float:
        raise AssertionError

    async with MovingLimit(60, never) as limit:
        await asyncio.sleep(0)
    assert not limit.expired()


async def test_a_limit_of_one_step_is_told_and_ends_it() -> None:
    """As `time_limit`: inside it is known, a cancellation from outside goes before."""
    limit = MovingLimit(0.01)

    async def too_long() -> None:
        async with limit:
            assert remaining() <= 0.01
            await asyncio.get_running_loop().create_future()

    with pytest.raises(TimeoutError):
        await too_long()
    assert limit is not None
    assert limit.expired()
    assert remaining() == math.inf
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0

    async def limited() -> None:
        async with MovingLimit(60):
            await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(limited())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
