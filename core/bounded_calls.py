"""Calls to Postgres on behalf of requests: bounded in number and in time, in threads of their own.

A thread cannot be stopped. A call whose caller has gone runs on until Postgres answers or gives it
up (`POSTGRES_STATEMENT_TIMEOUT`), and takes up its thread until then: it is *late*.
"""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from core.errors import UnavailableError
from core.loop_timeout import LoopTimeout


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
