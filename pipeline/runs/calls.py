"""Calling plugins: async ones on the event loop, sync ones in a bounded pool of threads.

`asyncio.get_event_loop()` must work in sync plugins. In vcon-server they run in the main thread,
where that call makes a loop; in any other thread it raises. So each plugin thread has a stand-in
(`ThreadLoop`), which makes a real loop when it is first used.
"""

import asyncio
import contextvars
import logging
import random
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context
from typing import Any

from core.concurrency.backoff import Backoff
from core.errors import ConflictError
from pipeline.plugins.errors import (
    NOT_NAMED,
    Plugin,
    PluginError,
    contained,
    contained_async,
    describe,
    log_failure,
)
from pipeline.plugins.loader import LoadedStorage
from pipeline.redis_client import own_keys
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.errors import Failures, counted
from pipeline.runs import call_scope
from pipeline.runs.call_scope import MovingLimit
from pipeline.runs.marks import UncertainStepError
from pipeline.runs.plugin_tasks import Leftovers, contain_tasks
from pipeline.runs.run_state import FirstTry, PluginCall, current_call, current_step

log = logging.getLogger(__name__)

CLOSE_SECONDS = 5.0
"""The time limit of a storage's `close`."""
BACKOFF = Backoff(first=0.1, cap=6.4, jitter=random.random)
"""The first wait follows an outage of Redis; failed attempts begin with the second."""
FLAPS = 5
"""Failures that do not use up a retry because Redis was unavailable, though it answers again."""
MOST_LEFT = 100
"""Abandoned calls that may still run."""
CANCEL_GRACE = 1.0
"""Seconds that an async plugin has to end after its cancellation; then it is abandoned."""

type Around = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
"""Makes a call, perhaps with something before and after it."""

_threads = threading.local()


class ThreadLoop(asyncio.AbstractEventLoop):
    """Stands for a loop of this thread, made at first use, and again after it was closed."""

    def __init__(self) -> None:
        self._real: asyncio.AbstractEventLoop | None = None

    def __getattribute__(self, name: str) -> Any:
        if name in _OWN:
            return object.__getattribute__(self, name)
        return getattr(object.__getattribute__(self, "real")(), name)

    def real(self) -> asyncio.AbstractEventLoop:
        """The loop itself."""
        if self._real is None:
            self._real = asyncio.new_event_loop()
        return self._real

    def renew(self) -> None:
        """Drop a loop that a plugin has closed."""
        if self._real is not None and self._real.is_closed():
            self._real = None

    def __del__(self) -> None:
        if self._real is not None and not self._real.is_closed():
            self._real.close()


_OWN = ("_real", "real", "renew", "__class__", "__del__", "__init__", "__dict__")


def provide() -> None:
    """Set this thread's loop, so that `asyncio.get_event_loop()` works."""
    loop: ThreadLoop | None = getattr(_threads, "loop", None)
    if loop is None:
        loop = _threads.loop = ThreadLoop()  # type: ignore[abstract]  # all of it is the real one's
    loop.renew()
    asyncio.set_event_loop(loop)


async def _at_once() -> None:
    """The default of `may_start`."""


async def plainly(call: Callable[[], Awaitable[None]]) -> None:
    """The default of `around`."""
    await call()


class PluginCalls:
    """Calls links, storages and tracers, with time limits and retries."""

    def __init__(
        self,
        threads: int,
        connection: RedisConnection,
        most_left: int = MOST_LEFT,
        too_many: Callable[[], None] = lambda: None,
        failed: Callable[[], None] = lambda: None,
        backoff: Backoff = BACKOFF,
    ) -> None:
        """`threads`: the number of sync plugins that run at once.

        `too_many` is called when `most_left` abandoned calls still run, `failed` when a call has
        failed for good. `backoff`: the waits before repetitions.
        """
        self._backoff = backoff
        self._most_left = most_left
        self._too_many = too_many
        self._failed = failed
        self._threads = threads
        self._pool = self._fresh_pool()
        self._connection = connection
        self._left: set[asyncio.Task[Any] | Future[Any]] = set()
        self._leftovers = Leftovers()

    def _fresh_pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._threads, thread_name_prefix="plugin")

    def widen(self, threads: int) -> None:
        """Allow more sync plugins at once; threads are started when they are needed."""
        if threads > self._threads:
            self._threads = threads
            self._leave_behind()

    async def call(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        is_async: bool,
        timeout: float | None = None,
        began: Callable[[], float] | None = None,
        plugin: Plugin = NOT_NAMED,
    ) -> Any:
        """Call a plugin and return its result. `plugin` names it in the log.

        `began()`: the start of `timeout`, a time of `time.perf_counter`; None: now.

        Raises:
            TimeoutError: after `timeout` seconds. A thread cannot be stopped, nor can an async
                plugin that ignores its cancellation: either runs on, and its result is dropped.
            PluginError: it raised `SystemExit` or the like, or cancelled itself.
            Exception: what it raises.
        """
        if timeout is None:
            return await self._call(function, arguments, is_async, plugin)
        try:
            async with MovingLimit(timeout, began) as limit:
                return await self._call(function, arguments, is_async, plugin)
        except TimeoutError as error:
            if not limit.expired():  # raised by the plugin
                raise
            raise TimeoutError(f"did not end within {timeout:g} s") from error

    async def _call(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], is_async: bool, who: Plugin
    ) -> Any:
        call, context = PluginCall(), contextvars.copy_context()
        context.run(current_call.set, call)
        context.run(call_scope.begin)
        if is_async:
            return await self._in_task(
                contained_async(function, arguments, who), call, context, who
            )
        return await self._in_thread((function, arguments, who), call, context, who)

    async def _in_task(
        self, coroutine: Coroutine[Any, Any, Any], call: PluginCall, context: Context, who: Plugin
    ) -> Any:
        """Run a plugin as an eager task of its own."""
        loop, threads = asyncio.get_running_loop(), threading.active_count()
        contain_tasks(loop)
        task = asyncio.Task(coroutine, loop=loop, context=context, eager_start=True)
        contain_tasks(loop)
        try:
            if not task.done():
                await _ended(task, loop)
        except asyncio.CancelledError:
            await self._end_task(task, call, who)
            raise
        finally:
            contain_tasks(loop)
        if call.is_left:
            self._leftovers.of_tasks(call.tasks, who)
        self._leftovers.of_threads(threads, who)
        if task.cancelled():
            raise PluginError("CancelledError: was cancelled from within")
        return task.result()

    async def _end_task(self, task: asyncio.Task[Any], call: PluginCall, who: Plugin) -> None:
        """Cancel a plugin's task and drop its result; waits for `CANCEL_GRACE` at most."""
        task.cancel()
        try:
            await asyncio.wait([task], timeout=CANCEL_GRACE)
        finally:
            if task.done():
                _drop_result(task)
            else:
                log.warning("plugin ignored its cancellation", extra=dict(who))
                self._leave(task, call)

    def _leave(self, job: asyncio.Task[Any] | Future[Any], call: PluginCall) -> None:
        call.abandoned = True
        self._left.add(job)
        job.add_done_callback(self._came_back)
        if len(self._left) >= self._most_left:
            self._too_many()

    def _came_back(self, job: asyncio.Task[Any] | Future[Any]) -> None:
        self._left.discard(job)
        _drop_result(job)

    async def _in_thread(
        self, work: tuple[Any, ...], call: PluginCall, context: Context, who: Plugin
    ) -> Any:
        job = self._pool.submit(context.run, self._watched, *work)
        try:
            return await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            call.abandoned = True
            if job.running():
                log.warning("plugin still running in its thread", extra=dict(who))
                self._leave_behind()
                self._leave(job, call)
            raise

    def _watched(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], who: Plugin
    ) -> Any:
        provide()
        threads = threading.active_count()
        try:
            return contained(function, arguments, who)
        finally:
            self._leftovers.of_threads(threads, who)

    def _leave_behind(self) -> None:
        """Replace the pool: the thread that hangs must not take a place in it."""
        self._pool.shutdown(wait=False)
        self._pool = self._fresh_pool()

    async def insist[T](self, attempt: Callable[[], Awaitable[T]], retries: int) -> T:
        """Repeat a failed attempt up to `retries` times, and for as long as Redis caused it.

        Redis caused it if it is unavailable, or if a key of this service that the call needs has
        another type. Up to `FLAPS` failures with failed commands do not count as the plugin's,
        even if Redis answers again when checked.
        """
        tried = flaps = 0
        while True:
            with counted() as failures:
                try:
                    return await attempt()
                except (ConflictError, UncertainStepError):  # not to be repeated
                    raise
                except Exception:
                    if await self._waited_for_redis(failures):
                        pass
                    elif failures.count and flaps < FLAPS:
                        flaps += 1
                    elif tried < retries:
                        tried += 1
                    else:
                        self._failed()
                        raise
            await asyncio.sleep(self._backoff.wait(tried + flaps))

    async def _waited_for_redis(self, failures: Failures) -> bool:
        """Whether a call failed because of Redis; waits until Redis is usable again."""
        if not await self._connection.ends_runs():
            await self._connection.wait_until_runs_end()
            return True
        if failures.no_memory:
            await self._connection.wait_until_reachable()
            return True
        return await own_keys.waited_for(self._connection, failures.unusable)

    async def save(
        self,
        storage: LoadedStorage,
        vcon_uuid: str,
        may_start: Callable[[], Awaitable[None]] = _at_once,
        around: Around = plainly,
        first: FirstTry | None = None,
    ) -> str | None:
        """Write one vCon to one storage, with its retries; returns None or the error.

        `may_start` is awaited before each try; what it raises is raised. `around` makes each try.
        `first` is the first one, if it has been made.
        """

        async def attempt() -> None:
            nonlocal first
            if first is not None:
                error, first = first.error, None
                if error is not None:
                    raise error
                return
            await may_start()
            current_step.set(storage)
            await around(call)

        async def call() -> None:
            await self.call(
                storage.together or storage.save,
                vcon_uuid,
                storage.fresh_options(),
                is_async=storage.is_async or storage.together is not None,
                timeout=storage.seconds,
                plugin={"storage": storage.name},
            )

        try:
            await self.insist(attempt, storage.retries)
        except ConflictError:
            raise
        except Exception as error:  # noqa: BLE001 -- a plugin may raise anything
            log_failure(error, {"storage": storage.name})
            return describe(error)
        return None

    async def close_storages(self, storages: Iterable[LoadedStorage]) -> None:
        """Call `close` of the storages that have it, once for each module."""
        closing = {storage.close: storage for storage in storages if storage.close is not None}
        for close, storage in closing.items():
            try:
                await self.call(
                    close,
                    is_async=storage.is_async,
                    timeout=CLOSE_SECONDS,
                    plugin={"storage": storage.name},
                )
            except Exception as error:  # noqa: BLE001 -- the process ends anyway
                log.warning(
                    "storage not closed",
                    extra={"storage": storage.name, "error": describe(error)},
                )

    def close(self) -> None:
        """Start no further plugin; those that run are not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)


async def _ended(task: asyncio.Task[Any], loop: asyncio.AbstractEventLoop) -> None:
    """Wait for the end of a task as `asyncio.wait` does, for one task and in half the time."""
    waiter = loop.create_future()

    def wake(_: object) -> None:
        if not waiter.done():
            waiter.set_result(None)

    task.add_done_callback(wake)
    try:
        await waiter
    finally:
        task.remove_done_callback(wake)


def _drop_result(job: asyncio.Task[Any] | Future[Any]) -> None:
    if not job.cancelled():
        job.exception()  # else its destruction would be logged
