"""Calling a guest: on the event loop when it is async, in a bounded pool of threads when not."""

import asyncio
import contextvars
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from core.errors import ConflictError, GuestError
from pipeline.connection import RedisConnection
from pipeline.connection_errors import lacked_memory
from pipeline.deadline import time_limit
from pipeline.live_run import ThreadCall, current_call
from pipeline.modules import LoadedStorage

log = logging.getLogger(__name__)

CLOSE_SECONDS = 5.0
RETRY_PAUSE = 0.2
"""Seconds before the first repetition; doubles each time."""
FLAPS = 5
"""How often a failure is put down to a Redis that went away and is back when asked."""


async def _at_once() -> None:
    """Nothing keeps a guest from starting."""


class GuestCalls:
    """Calls links, storages and tracers, and is patient with them."""

    def __init__(self, threads: int, connection: RedisConnection) -> None:
        """`threads`: how many sync guests run at once."""
        self._threads = threads
        self._pool = self._fresh_pool()
        self._connection = connection

    def _fresh_pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._threads, thread_name_prefix="guest")

    async def call(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        is_async: bool,
        timeout: float | None = None,
    ) -> Any:
        """What the guest returns; whatever it raises.

        Raises:
            TimeoutError: after `timeout` seconds. A thread cannot be stopped: it runs on unheard.
            GuestError: when it tries to end the process, or cancels itself.
        """
        if timeout is None:
            return await self._call(function, arguments, is_async)
        try:
            async with time_limit(timeout) as limit:
                return await self._call(function, arguments, is_async)
        except TimeoutError as error:
            if not limit.expired():  # it is the guest's own
                raise
            raise TimeoutError(f"did not end within {timeout:g} s") from error

    async def _call(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], is_async: bool
    ) -> Any:
        try:
            if is_async:
                return await function(*arguments)
            return await self._in_thread(function, arguments)
        except SystemExit as error:
            raise GuestError(f"called sys.exit({error.code!r})") from error
        except asyncio.CancelledError as error:
            if _is_being_cancelled():
                raise
            raise GuestError("was cancelled from within") from error

    async def _in_thread(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        call, context = ThreadCall(), contextvars.copy_context()
        context.run(current_call.set, call)
        job = self._pool.submit(context.run, _carried, function, arguments)
        try:
            return await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            call.abandoned = True
            if job.running():
                self._leave_behind()
            raise

    def _leave_behind(self) -> None:
        """A thread that hangs stays behind with its pool, so that it takes nobody's place."""
        self._pool.shutdown(wait=False)
        self._pool = self._fresh_pool()

    async def insist[T](self, attempt: Callable[[], Awaitable[T]], retries: int) -> T:
        """Repeat what fails: `retries` times for its own sake, and while our Redis is away.

        What fails while Redis goes away is not the guest's fault, even if Redis is back when asked.
        """
        tried = flaps = 0
        while True:
            failures = self._connection.failures
            try:
                return await attempt()
            except ConflictError:  # the run is not ours any more
                raise
            except Exception as error:
                if not await self._connection.ends_runs():
                    await self._connection.wait_until_runs_end()
                elif lacked_memory(error):
                    await self._connection.wait_until_reachable()
                elif self._connection.failures != failures and flaps < FLAPS:
                    flaps += 1
                elif tried < retries:
                    tried += 1
                    await asyncio.sleep(_pause(tried))
                else:
                    raise

    async def save(
        self,
        storage: LoadedStorage,
        vcon_uuid: str,
        may_start: Callable[[], Awaitable[None]] = _at_once,
    ) -> str | None:
        """Write one vCon to one storage, with its retries; None, or why it would not take it.

        `may_start` is awaited before each try; what it raises ends the matter.
        """

        async def attempt() -> None:
            await may_start()
            await self.call(
                storage.save,
                *(vcon_uuid, storage.fresh_options()),
                is_async=storage.is_async,
                timeout=storage.timeout,
            )

        try:
            await self.insist(attempt, storage.retries)
        except ConflictError:
            raise
        except Exception as error:  # noqa: BLE001 -- whatever a guest raises is the outcome of its step
            return describe(error)
        return None

    async def close_storages(self, storages: Iterable[LoadedStorage]) -> None:
        """Let every storage that wants to give back its connections, each module once."""
        closing = {storage.close: storage for storage in storages if storage.close is not None}
        for close, storage in closing.items():
            try:
                await self.call(close, is_async=storage.is_async, timeout=CLOSE_SECONDS)
            except Exception as error:  # noqa: BLE001 -- nothing depends on it any more
                log.warning(
                    "storage was not closed",
                    extra={"storage": storage.name, "error": describe(error)},
                )

    def close(self) -> None:
        """Let no further guest start; those that run are not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _carried(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    try:
        return function(*arguments)
    except StopIteration as error:  # no future can carry this one: its caller would wait for ever
        raise RuntimeError("StopIteration") from error


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _pause(tried: int) -> float:
    return RETRY_PAUSE * 2.0 ** (tried - 1) * random.uniform(0.5, 1.0)  # noqa: S311 -- spreads retries


def describe(error: Exception) -> str:
    """An error in one line: its type, and what it says."""
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}"[:500] if text else type(error).__name__
