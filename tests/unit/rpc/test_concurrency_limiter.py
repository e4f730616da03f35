"""The limits on running, waiting and suspended work."""

import asyncio
import logging

import pytest

from core.rpc.concurrency_limiter import ConcurrencyLimiter, Work


class Job:
    """Work that records its start and ends when `end` is set."""

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
    """So many jobs."""
    return [Job() for _ in range(number)]


async def turns() -> None:
    """Let everything that is ready run."""
    for _ in range(5):
        await asyncio.sleep(0)


def begun(work: list[Job]) -> list[bool]:
    """Which of them have begun."""
    return [job.begun.is_set() for job in work]


async def test_submit_does_not_wait_for_the_work() -> None:
    """`submit` returns when the work first suspends."""
    [job] = work = jobs(1)
    limiter = ConcurrencyLimiter(max_running=1, max_waiting=0)
    assert limiter.submit(job)
    assert (begun(work), limiter.running) == ([True], 1)
    job.end.set()
    await limiter.wait_until_idle()


async def test_work_that_never_suspends_ends_within_submit() -> None:
    """It does not count as running after `submit` has returned."""
    limiter, [job] = ConcurrencyLimiter(max_running=1, max_waiting=0), jobs(1)
    job.end.set()
    assert limiter.submit(job)
    assert (job.begun.is_set(), limiter.running) == (True, 0)
    assert limiter.submit(job)


async def test_running_and_waiting_work_is_bounded() -> None:
    """Two run, three wait, the sixth is refused; waiting work starts in order."""
    limiter, work = ConcurrencyLimiter(max_running=2, max_waiting=3), jobs(6)
    assert [limiter.submit(job) for job in work] == [True, True, True, True, True, False]
    await turns()
    assert begun(work) == [True, True, False, False, False, False]
    work[1].end.set()
    await work[2].begun.wait()
    await turns()
    assert begun(work) == [True, True, True, False, False, False]
    assert limiter.submit(work[5])
    for job in work:
        job.end.set()
    await limiter.wait_until_idle()
    assert all(begun(work))


async def test_idle_includes_waiting_work() -> None:
    """`wait_until_idle` returns after the last waiting job has ended."""
    limiter, work = ConcurrencyLimiter(max_running=1, max_waiting=1), jobs(2)
    for job in work:
        limiter.submit(job)
    idle = asyncio.create_task(limiter.wait_until_idle())
    work[0].end.set()
    await work[1].begun.wait()
    await turns()
    assert not idle.done()
    work[1].end.set()
    await idle


async def test_an_empty_limiter_is_idle() -> None:
    """`wait_until_idle` returns at once before the first job."""
    await ConcurrencyLimiter(max_running=1, max_waiting=0).wait_until_idle()


async def test_cancel_all_cancels_running_and_discards_waiting_work() -> None:
    """After `cancel_all` no job goes on or starts."""
    limiter, work = ConcurrencyLimiter(max_running=1, max_waiting=1), jobs(2)
    for job in work:
        limiter.submit(job)
    await work[0].begun.wait()
    limiter.cancel_all()
    await limiter.wait_until_idle()
    assert [job.cancelled for job in work] == [True, False]
    assert begun(work) == [True, False]


def failing(error: Exception) -> Work:
    """Work that raises."""

    async def work() -> None:
        raise error

    return work


async def test_failed_work_is_logged_and_frees_its_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The next job starts, and the error is in the log."""
    limiter, [job] = ConcurrencyLimiter(max_running=1, max_waiting=1), jobs(1)
    limiter.submit(failing(ValueError("broken")))
    limiter.submit(job)
    await job.begun.wait()
    job.end.set()
    [record] = caplog.records
    assert (record.levelno, str(record.exc_info[1])) == (logging.ERROR, "broken")
    await limiter.wait_until_idle()


async def test_a_suspended_task_frees_its_place() -> None:
    """Another job runs in its place; after `resume` it continues at once."""
    limiter, others = ConcurrencyLimiter(max_running=1, max_waiting=2), jobs(2)
    aside, back = Job(), Job()

    async def patient() -> None:
        assert limiter.suspend()
        await aside()
        limiter.resume()
        await back()

    for work in (patient, *others):
        assert limiter.submit(work)
    await others[0].begun.wait()
    assert (limiter.running, limiter.suspended, limiter.waiting) == (1, 1, 1)
    aside.end.set()
    await back.begun.wait()
    assert (limiter.running, limiter.suspended) == (2, 0)
    others[0].end.set()
    await turns()
    assert (limiter.running, begun(others)) == (1, [True, False])
    for job in (back, others[1]):
        job.end.set()
    await limiter.wait_until_idle()
    assert (limiter.running, begun(others)) == (0, [True, True])


async def test_suspended_tasks_are_bounded() -> None:
    """Beyond `max_suspended` a task keeps counting as running."""
    limiter = ConcurrencyLimiter(max_running=2, max_waiting=0, max_suspended=1)
    assert [limiter.suspend(), limiter.suspend()] == [True, False]
