"""So many requests at once, so many waiting, and no more."""

import asyncio
import logging

import pytest

from core.rpc.concurrency_limiter import ConcurrencyLimiter, Work


class Job:
    """A piece of work that says when it began and ends when told to."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.end = asyncio.Event()
        self.cancelled = False

    async def __call__(self) -> None:
        self.begun.set()
        try:
            await self.end.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


def jobs(number: int) -> list[Job]:
    """That many pieces of work."""
    return [Job() for _ in range(number)]


async def turns() -> None:
    """Let everything that is ready run."""
    for _ in range(5):
        await asyncio.sleep(0)


def begun(work: list[Job]) -> list[bool]:
    """Which of them have begun."""
    return [job.begun.is_set() for job in work]


async def test_taking_on_waits_for_nothing() -> None:
    """`take` returns as soon as the work has to wait for something."""
    [job] = work = jobs(1)
    limiter = ConcurrencyLimiter(at_once=1, waiting=0)
    assert limiter.take(job)
    assert (begun(work), limiter.running) == ([True], 1)
    job.end.set()
    await limiter.idle()


async def test_what_waits_for_nothing_is_done_at_once() -> None:
    """It has ended when `take` returns, and takes up no room."""
    limiter, [job] = ConcurrencyLimiter(at_once=1, waiting=0), jobs(1)
    job.end.set()
    assert limiter.take(job)
    assert (job.begun.is_set(), limiter.running) == (True, 0)
    assert limiter.take(job)


async def test_the_bounds_hold() -> None:
    """Two run, three wait, the sixth is refused; room made by an end is used in order."""
    limiter, work = ConcurrencyLimiter(at_once=2, waiting=3), jobs(6)
    assert [limiter.take(job) for job in work] == [True, True, True, True, True, False]
    await turns()
    assert begun(work) == [True, True, False, False, False, False]
    work[1].end.set()
    await work[2].begun.wait()
    await turns()
    assert begun(work) == [True, True, True, False, False, False]
    assert limiter.take(work[5])
    for job in work:
        job.end.set()
    await limiter.idle()
    assert all(begun(work))


async def test_idle_means_nothing_runs_and_nothing_waits() -> None:
    """`idle` returns after the last of those that waited."""
    limiter, work = ConcurrencyLimiter(at_once=1, waiting=1), jobs(2)
    for job in work:
        limiter.take(job)
    idle = asyncio.create_task(limiter.idle())
    work[0].end.set()
    await work[1].begun.wait()
    await turns()
    assert not idle.done()
    work[1].end.set()
    await idle


async def test_an_empty_limiter_is_idle() -> None:
    """There is nothing to wait for before the first request."""
    await ConcurrencyLimiter(at_once=1, waiting=0).idle()


async def test_abandoning_cancels_what_runs_and_forgets_what_waits() -> None:
    """After `abandon` nothing of what was taken on goes on."""
    limiter, work = ConcurrencyLimiter(at_once=1, waiting=1), jobs(2)
    for job in work:
        limiter.take(job)
    await work[0].begun.wait()
    limiter.abandon()
    await limiter.idle()
    assert [job.cancelled for job in work] == [True, False]
    assert begun(work) == [True, False]


def failing(error: Exception) -> Work:
    """Work that raises."""

    async def work() -> None:
        raise error

    return work


async def test_work_that_fails_makes_room_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An error in one piece of work does not keep its place, and is not lost."""
    limiter, [job] = ConcurrencyLimiter(at_once=1, waiting=1), jobs(1)
    limiter.take(failing(ValueError("broken")))
    limiter.take(job)
    await job.begun.wait()
    job.end.set()
    [record] = caplog.records
    assert (record.levelno, str(record.exc_info[1])) == (logging.ERROR, "broken")
    await limiter.idle()


async def test_who_steps_aside_makes_room() -> None:
    """While one only waits another runs in its place; when it comes back it goes on at once."""
    limiter, others = ConcurrencyLimiter(at_once=1, waiting=2), jobs(2)
    aside, back = Job(), Job()

    async def patient() -> None:
        assert limiter.step_aside()
        await aside()
        limiter.come_back()
        await back()

    for work in (patient, *others):
        assert limiter.take(work)
    await others[0].begun.wait()
    assert (limiter.running, limiter.aside, limiter.waiting) == (1, 1, 1)
    aside.end.set()
    await back.begun.wait()
    assert (limiter.running, limiter.aside) == (2, 0)
    others[0].end.set()
    await turns()
    assert (limiter.running, begun(others)) == (1, [True, False])
    for job in (back, others[1]):
        job.end.set()
    await limiter.idle()
    assert (limiter.running, begun(others)) == (0, [True, True])


async def test_not_all_may_step_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits takes up memory; beyond a number it keeps its room."""
    monkeypatch.setattr("core.rpc.concurrency_limiter.MOST_ASIDE", 1)
    limiter = ConcurrencyLimiter(at_once=2, waiting=0)
    assert [limiter.step_aside(), limiter.step_aside()] == [True, False]
