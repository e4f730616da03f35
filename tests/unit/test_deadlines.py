"""A task that takes too long is cancelled, and only for as long as it is limited."""

import asyncio

import pytest

from core.deadlines import Deadlines

LONG = 60.0
SHORT = 0.001


async def limited(deadlines: Deadlines, seconds: float, waiting: asyncio.Event) -> bool:
    """Wait under a limit; whether it was reached."""
    limit, was_late = deadlines.begin(seconds), False
    try:
        try:
            await waiting.wait()
        finally:
            was_late = deadlines.end(limit)
    except asyncio.CancelledError:
        if not was_late:
            raise
    return was_late


async def test_a_task_is_cancelled_when_its_time_is_over() -> None:
    """Each at its own time, whichever limit was set first."""
    deadlines, never = Deadlines(), asyncio.Event()
    patient = asyncio.create_task(limited(deadlines, LONG, never))
    times = (2 * SHORT, SHORT, 3 * SHORT)
    assert all(await asyncio.gather(*(limited(deadlines, time, never) for time in times)))
    assert not patient.done()
    never.set()
    assert await patient is False


async def test_a_task_that_is_in_time_is_left_alone_later() -> None:
    """The limit is gone with what it limited."""
    deadlines, at_once, never = Deadlines(), asyncio.Event(), asyncio.Event()
    at_once.set()
    assert await limited(deadlines, SHORT, at_once) is False
    assert await limited(deadlines, 3 * SHORT, never) is True
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_cancellation_by_somebody_else_goes_through() -> None:
    """It is not the limit's, and the limit is gone."""
    deadlines = Deadlines()
    task = asyncio.create_task(limited(deadlines, LONG, asyncio.Event()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_both_at_once_is_a_cancellation() -> None:
    """Who is cancelled while the limit is reached must end."""
    deadlines, was_late = Deadlines(), []

    async def cancelled_when_late() -> None:
        limit = deadlines.begin(SHORT)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            limit.task.cancel()
            was_late.append(deadlines.end(limit))
            raise

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(cancelled_when_late())
    assert was_late == [False]
