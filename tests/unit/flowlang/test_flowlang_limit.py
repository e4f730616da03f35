"""Limits of FlowLang's awaits."""

from __future__ import annotations

import asyncio

import pytest

from flowlang.limit import Limit


async def test_it_ends_what_takes_too_long() -> None:
    """And says that it was the limit."""
    limit = Limit(0)
    with pytest.raises(TimeoutError):
        async with limit:
            await asyncio.get_running_loop().create_future()
    assert limit.expired
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_what_is_raised_inside_comes_out() -> None:
    """Also a timeout of another limit."""
    limit = Limit(3600)
    with pytest.raises(TimeoutError, match="of its own"):
        async with limit:
            raise TimeoutError("of its own")
    assert not limit.expired


async def test_none_is_no_limit() -> None:
    """Nothing is scheduled."""
    async with Limit(None) as limit:
        await asyncio.sleep(0)
    assert not limit.expired


async def test_a_cancellation_from_outside_is_passed_on() -> None:
    """It is no timeout."""

    async def waits() -> None:
        async with Limit(3600):
            await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
