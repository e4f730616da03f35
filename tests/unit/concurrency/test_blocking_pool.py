"""Blocking actions run in so many threads, and one that hangs is not forgotten."""

import asyncio
import threading
from collections.abc import AsyncIterator
from functools import partial

import pytest

from core.concurrency.thread_pool import BlockingPool
from core.errors import UnavailableError
from core.request_context import current_request


@pytest.fixture
async def pool() -> AsyncIterator[BlockingPool]:
    """Two threads."""
    pool = BlockingPool(2)
    yield pool
    pool.close()


class Blockade:
    """Holds threads until it is lifted."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.lifted = threading.Event()

    def hold(self, error: Exception | None = None) -> str:
        """To be run in a thread."""
        self.begun.release()
        self.lifted.wait()
        if error is not None:
            raise error
        return "lifted"


async def stuck(pool: BlockingPool, blockade: Blockade, error: Exception | None = None) -> None:
    """Let one thread outlive the task that waits for it."""
    waiting = asyncio.create_task(pool.run(partial(blockade.hold, error)))
    await asyncio.to_thread(blockade.begun.acquire)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()


async def test_it_returns_and_raises_what_the_function_does(pool: BlockingPool) -> None:
    """Also a StopIteration, which no future can carry, ends the waiting."""
    assert await pool.run(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda: 1 / 0)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await pool.run(lambda: next(iter(())))


async def test_the_context_goes_along(pool: BlockingPool) -> None:
    """Lines that are logged in the thread carry the request's fields."""
    current_request.set(("r-1", "Blocking"))
    assert await pool.run(current_request.get) == ("r-1", "Blocking")


async def test_a_thread_that_outlives_its_time_counts_until_it_is_back(pool: BlockingPool) -> None:
    """Meanwhile the others work on."""
    blockade = Blockade()
    await stuck(pool, blockade)
    assert pool.stuck == 1
    assert await pool.run(lambda: 7) == 7
    blockade.lifted.set()
    assert await pool.run(lambda: 7) == 7
    await until_none_is_stuck(pool)


async def test_when_all_are_stuck_nothing_begins(pool: BlockingPool) -> None:
    """A further call is refused at once, and accepted when a thread has ended."""
    blockade = Blockade()
    for _ in range(2):
        await stuck(pool, blockade)
    with pytest.raises(UnavailableError, match="all 2 threads for blocking actions are held"):
        await pool.run(lambda: 7)
    blockade.lifted.set()
    await until_none_is_stuck(pool)
    assert await pool.run(lambda: 7) == 7


async def test_what_only_waits_for_a_thread_is_forgotten(pool: BlockingPool) -> None:
    """A function that has not begun when its time is over never runs, and is not stuck."""
    blockade, ran = Blockade(), threading.Event()
    holding = [asyncio.create_task(pool.run(blockade.hold)) for _ in range(2)]
    waiting = asyncio.create_task(pool.run(ran.set))
    for _ in holding:
        await asyncio.to_thread(blockade.begun.acquire)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert pool.stuck == 0
    blockade.lifted.set()
    assert await asyncio.gather(*holding) == ["lifted", "lifted"]
    assert not ran.is_set()


async def test_what_fails_too_late_is_logged(
    pool: BlockingPool, caplog: pytest.LogCaptureFixture
) -> None:
    """Its caller has gone, so the error is logged."""
    blockade = Blockade()
    await stuck(pool, blockade, ValueError("too late"))
    blockade.lifted.set()
    pool._executor.shutdown(wait=True)
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert str(record.exc_info[1]) == "too late"


async def until_none_is_stuck(pool: BlockingPool) -> None:
    """Return when every thread is back."""
    async with asyncio.timeout(60):  # a ceiling
        while pool.stuck:  # noqa: ASYNC110 -- that a thread has ended is no event
            await asyncio.sleep(0.001)
