"""The threads in which actions with a plain `def run` run: so many, and never more.

A thread cannot be stopped. When its request's time is over it runs on, and takes up a place until
it is back; while that is so of all of them, no blocking action can begin.
"""

import asyncio
import contextvars
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from core.errors import UnavailableError

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
