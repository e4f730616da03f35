"""Threads for blocking work: own threads, a pool for actions, and a pool for calls to Postgres.

A thread cannot be stopped: after its caller was cancelled or timed out it runs to the end of its
function and occupies its place until then. Each pool counts these threads (*stuck*, or *late*) and
refuses work when they occupy all places.
"""

import asyncio
import contextvars
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from core.concurrency.aio import LoopTimeout
from core.errors import UnavailableError

log = logging.getLogger(__name__)

_ENDS: contextvars.ContextVar[float | None] = contextvars.ContextVar("ends", default=None)

SPARE = 32
"""Threads of asyncio's default pool besides one for each request or vCon."""


async def in_own_thread[**P, T](function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """Run a function in a new daemon thread.

    For the service's own work: `asyncio.to_thread` shares one pool with all plugins, so hanging
    plugins would block it. A cancelled caller does not stop the thread.
    """
    done: Future[T] = Future()
    context = contextvars.copy_context()

    def work() -> None:
        try:
            result = context.run(function, *args, **options)
        except BaseException as error:  # noqa: BLE001 -- it is raised where the call is awaited
            done.set_exception(error)
        else:
            done.set_result(result)

    done.set_running_or_notify_cancel()  # so that set_result cannot raise after a cancellation
    # "shared" marks threads of the service, not of a plugin
    name = f"shared {getattr(function, '__name__', 'own')}"
    threading.Thread(target=work, name=name, daemon=True).start()
    return await asyncio.wrap_future(done)


_ONE_AT_A_TIME = threading.Lock()


async def one_at_a_time[**P, T](function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """`in_own_thread`, one call after the other, which limits the memory that they take together.

    Several threads that compute would also keep the event loop waiting for the interpreter's lock.
    """

    def alone() -> T:
        with _ONE_AT_A_TIME:
            return function(*args, **options)

    return await in_own_thread(alone)


def widen_shared_pool(at_once: int) -> None:
    """Give asyncio's default pool, which plugins use, threads for so many plugins and `SPARE` more.

    By default it has six threads on two processors, so six hanging downloads would stop all others.
    """
    pool = ThreadPoolExecutor(at_once + SPARE, thread_name_prefix="shared")
    asyncio.get_running_loop().set_default_executor(pool)


class BlockingPool:
    """A fixed number of threads for actions with a plain `def run`."""

    def __init__(self, threads: int) -> None:
        """Threads are started when first needed."""
        self._most = threads
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="action")
        self._stuck: set[Future[Any]] = set()

    @property
    def stuck(self) -> int:
        """Threads whose callers were cancelled and that still run."""
        return len(self._stuck)

    async def run(self, function: Callable[[], Any]) -> Any:
        """Run the function in a thread, as soon as one is free.

        Raises:
            UnavailableError: all threads are stuck.
        """
        if self.stuck >= self._most:
            msg = (
                f"all {self._most} threads for blocking actions are held by requests whose time is "
                "over; try again later"
            )
            raise UnavailableError(msg)
        context = contextvars.copy_context()  # so that log lines carry the request's fields
        job = self._executor.submit(context.run, _carried, function)
        try:
            return await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            if not job.cancel() and not job.done():
                self._stuck.add(job)
                job.add_done_callback(self._back)
            raise

    def _back(self, job: Future[Any]) -> None:
        """Called in the thread when its function has ended."""
        self._stuck.discard(job)
        if error := job.exception():
            log.warning("blocking action failed after its deadline", exc_info=error)

    def close(self) -> None:
        """Start nothing further; running functions are not waited for."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _carried(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except StopIteration as error:  # a future cannot carry it, its caller would wait for ever
        raise RuntimeError("StopIteration") from error


def seconds_left() -> float | None:
    """The time that the caller of this thread's call still waits; None if it is no such call."""
    ends = _ENDS.get()
    return None if ends is None else ends - time.monotonic()


class BoundedCalls:
    """A pool for calls to Postgres with limits on waiting calls and time; refuses beyond them.

    `core.db.database` ends a call in its thread, too, soon after its time is over.
    """

    def __init__(
        self,
        name: str,
        *,
        threads: int,
        waiting: int,
        seconds: float,
        late: int | None = None,
        long_seconds: float | None = None,
    ) -> None:
        """At most `waiting` calls wait for a thread; each call has `seconds`, the wait included.

        While `late` calls are late (by default: as many as threads) new calls are refused.
        `long_seconds`: the time of calls that read or write much, by default that of the others.
        """
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"shared {name}")
        self._most = threads + waiting
        self._most_late = late or threads
        self.seconds = seconds
        self.long_seconds = long_seconds or seconds
        self._open: set[Future[Any]] = set()
        self._late: set[Future[Any]] = set()

    async def __call__[**P, T](
        self, function: Callable[P, T], *args: P.args, **options: P.kwargs
    ) -> T:
        """Run the function in a thread.

        Raises:
            UnavailableError: the call was refused, or has timed out.
        """
        return await self._within(self.seconds, partial(function, *args, **options))

    async def long[**P, T](self, function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Run a function that may read or write much.

        Raises:
            UnavailableError: the call was refused, or has timed out.
        """
        return await self._within(self.long_seconds, partial(function, *args, **options))

    async def _within[T](self, seconds: float, function: Callable[[], T]) -> T:
        self._refuse()
        call = self._submitted(function, seconds)
        try:
            async with LoopTimeout(seconds):
                return await asyncio.wrap_future(call)
        except TimeoutError:
            raise UnavailableError("Postgres does not answer in time; try again later") from None
        finally:
            if not call.cancel() and not call.done():
                self._late.add(call)
                call.add_done_callback(self._late.discard)

    def _refuse(self) -> None:
        if len(self._late) >= self._most_late:
            raise UnavailableError("Postgres does not answer just now; try again later")
        if len(self._open) >= self._most:
            msg = f"{self._most} calls to Postgres are at work or wait; try again later"
            raise UnavailableError(msg)

    def _submitted[T](self, function: Callable[[], T], seconds: float) -> Future[T]:
        context = contextvars.copy_context()  # so that log lines carry the request's fields
        context.run(_ENDS.set, time.monotonic() + seconds)
        call = self._executor.submit(context.run, function)
        self._open.add(call)
        call.add_done_callback(self._open.discard)
        return call

    def close(self) -> None:
        """Start nothing further; running calls are not waited for."""
        self._executor.shutdown(wait=False, cancel_futures=True)
