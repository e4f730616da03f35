"""Calls to Postgres that a partner waits for: each has two seconds, none waits for a dead one.

A Postgres that is gone refuses at once. One that is frozen, or behind a cable that was pulled, says
nothing, and the thread that asked it cannot be stopped: as long as one hangs, no other begins.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from core.errors import UnavailableError

LIMIT = 2.0
"""Seconds that a call has."""
THREADS = 4
"""Calls at once, and so the most that can hang."""


class BriefCalls:
    """Calls functions in threads of its own, which hold up nobody else when they hang."""

    def __init__(self) -> None:
        """Threads start when they are needed."""
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="partners")
        self._late: set[Future[Any]] = set()

    async def __call__[**P, T](
        self, function: Callable[P, T], *args: P.args, **options: P.kwargs
    ) -> T:
        """What the function returns, or raises.

        Raises:
            UnavailableError: it was not done in time, or an earlier one has not been done yet.
        """
        if self._late:
            raise UnavailableError("Postgres does not answer just now; try again later")
        call = self._executor.submit(function, *args, **options)
        try:
            async with asyncio.timeout(LIMIT):
                return await asyncio.wrap_future(call)
        except TimeoutError:
            raise UnavailableError("Postgres does not answer in time; try again later") from None
        finally:
            if not call.cancel() and not call.done():
                self._late.add(call)
                call.add_done_callback(self._late.discard)

    def close(self) -> None:
        """Let nothing further begin; what hangs is not waited for."""
        self._executor.shutdown(wait=False, cancel_futures=True)
