"""Calls to Postgres on behalf of requests: bounded in number and in time, in threads of their own.

A thread cannot be stopped. A call whose caller has gone runs on until Postgres answers or gives it
up (`POSTGRES_STATEMENT_TIMEOUT`), and takes up its thread until then: it is *late*.
"""

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from core.aio import LoopTimeout
from core.errors import UnavailableError

# Blocking work in a thread of its own, for what must go on when other work hangs.
#
# `asyncio.to_thread` shares one small pool with every plugin of the process: a few calls that hang
# there keep all others waiting. What replaces workers, reloads the configuration, renews leases or
# looks after the database comes here instead. Each caller awaits its call before it makes the
# next, so there are no more of these threads than callers. The shared pool is left to plugins; it
# is made wide enough for all that runs at once.

SPARE = 32
"""Threads of the shared pool besides one for each request or vCon."""


async def in_own_thread[**P, T](function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """What the function returns, or raises.

    A cancelled caller does not stop the thread, and the thread does not hold up the process's end.
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

    done.set_running_or_notify_cancel()  # a cancelled caller must not make the thread raise
    name = f"shared {getattr(function, '__name__', 'own')}"  # one of the service, not of a plugin
    threading.Thread(target=work, name=name, daemon=True).start()
    return await asyncio.wrap_future(done)


def widen_shared_pool(at_once: int) -> None:
    """Give `asyncio.to_thread` of this loop threads for so many plugins at once, and to spare.

    asyncio's own has six on two processors: as many downloads that hang would stop all others.
    """
    pool = ThreadPoolExecutor(at_once + SPARE, thread_name_prefix="shared")
    asyncio.get_running_loop().set_default_executor(pool)


# The threads in which actions with a plain `def run` run: so many, and never more.
#
# A thread cannot be stopped. When its request's time is over it runs on, and takes up a place
# until it is back; while that is so of all of them, no blocking action can begin.

log = logging.getLogger(__name__)


class BlockingPool:
    """Runs functions in threads."""

    def __init__(self, threads: int) -> None:
        """So many at once; they start when they are needed first."""
        self._most = threads
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="action")
        self._stuck: set[Future[Any]] = set()

    @property
    def stuck(self) -> int:
        """How many threads are busy with what nobody waits for any more."""
        return len(self._stuck)

    async def run(self, function: Callable[[], Any]) -> Any:
        """What the function returns, or raises; it waits for a thread first, if need be.

        Raises:
            UnavailableError: when every thread is stuck.
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
        """A thread is free again; called in that thread."""
        self._stuck.discard(job)
        if error := job.exception():
            log.warning("a blocking action has failed after its time was over", exc_info=error)

    def close(self) -> None:
        """Let nothing further begin; what runs is not waited for."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _carried(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except StopIteration as error:  # no future can carry this one: its caller would wait for ever
        raise RuntimeError("StopIteration") from error


class BoundedCalls:
    """Calls functions in `threads` threads; what does not fit is refused at once."""

    def __init__(
        self, name: str, *, threads: int, waiting: int, seconds: float, late: int | None = None
    ) -> None:
        """`waiting` calls may wait for a thread, and each call has `seconds`, the wait included.

        As long as `late` calls are late, by default one for each thread, no other begins.
        """
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"shared {name}")
        self._most = threads + waiting
        self._most_late = late or threads
        self.seconds = seconds
        self._open: set[Future[Any]] = set()
        self._late: set[Future[Any]] = set()

    async def __call__[**P, T](
        self, function: Callable[P, T], *args: P.args, **options: P.kwargs
    ) -> T:
        """What the function returns, or raises.

        Raises:
            UnavailableError: it was refused, or was not done in time.
        """
        self._refuse()
        call = self._submitted(partial(function, *args, **options))
        try:
            async with LoopTimeout(self.seconds):
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

    def _submitted[T](self, function: Callable[[], T]) -> Future[T]:
        context = contextvars.copy_context()  # so that log lines carry the request's fields
        call = self._executor.submit(context.run, function)
        self._open.add(call)
        call.add_done_callback(self._open.discard)
        return call

    def close(self) -> None:
        """Let nothing further begin; what hangs is not waited for."""
        self._executor.shutdown(wait=False, cancel_futures=True)
