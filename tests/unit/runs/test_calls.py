"""Calling plugins: patience with Redis, retries, and plugins that misbehave. No server needed."""

import asyncio
import gc
import sys
import threading
from contextvars import ContextVar

import pytest

from core.concurrency.backoff import Backoff
from core.errors import ConflictError, PluginFailedError, UnavailableError
from pipeline.plugins.errors import PluginError, describe
from pipeline.plugins.loader import LoadedStorage
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.errors import note
from pipeline.runs.calls import FLAPS, PluginCalls
from tests.time_limits import HOUR, NOT_IN_TIME

marker: ContextVar[str] = ContextVar("marker", default="unset")


class MoodyRedis(RedisConnection):
    """A connection that connects to nothing; it is away when it is told to be."""

    def __init__(self) -> None:
        super().__init__("redis://nowhere:1/0", Backoff(0.0001, 5.0))
        self.asked = 0
        self.away = 0

    async def command(self, *words):
        """PING is all that is asked of it."""
        self.asked += 1
        if self.away:
            self.away -= 1
            raise UnavailableError
        return "PONG"


@pytest.fixture
def redis():
    """A Redis that is there unless told otherwise."""
    return MoodyRedis()


@pytest.fixture
def calls(redis):
    """Calls with two threads."""
    calls = PluginCalls(2, redis, backoff=Backoff(0.00005, 0.0032))
    yield calls
    calls.close()


def fails(*errors, then="fine"):
    """An attempt that raises these one after another, then returns."""
    left = list(errors)

    async def attempt():
        attempt.count += 1
        if left:
            raise left.pop(0)
        return then

    attempt.count = 0
    return attempt


async def test_a_sync_plugin_runs_in_a_thread_with_the_callers_context(calls):
    """It sees context variables, and not the event loop's thread."""
    marker.set("here")
    seen = await calls.call(
        lambda: (marker.get(), threading.current_thread() is threading.main_thread()),
        is_async=False,
    )
    assert seen == ("here", False)


async def test_an_async_plugin_runs_on_the_loop(calls):
    """No thread is involved."""

    async def plugin(a, b):
        return a, b, threading.current_thread() is threading.main_thread()

    assert await calls.call(plugin, 1, 2, is_async=True) == (1, 2, True)


async def test_sync_plugins_run_side_by_side_as_far_as_there_are_threads(calls):
    """Two plugins meet; they could not with one thread."""
    met = threading.Barrier(2, timeout=60)
    await asyncio.gather(*(calls.call(met.wait, is_async=False) for _ in range(2)))


async def test_a_plugin_that_takes_too_long_is_told_so(calls, time_is_up):
    """The error says how long it was given; the plugin's own TimeoutError is left as it is."""
    never = asyncio.get_running_loop().create_future()

    async def hangs():
        time_is_up()
        await never

    async def own():
        raise TimeoutError("upstream")

    with pytest.raises(TimeoutError, match=NOT_IN_TIME):
        await calls.call(hangs, is_async=True, timeout=HOUR)
    with pytest.raises(TimeoutError, match="upstream"):
        await calls.call(own, is_async=True, timeout=HOUR)


async def test_threads_that_hang_are_replaced(calls, time_is_up):
    """After as many hanging plugins as there are threads, the next one runs all the same."""
    go_on = threading.Event()

    def hangs():
        time_is_up()
        go_on.wait(60)

    try:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await calls.call(hangs, is_async=False, timeout=HOUR)
        assert await calls.call(lambda: "fine", is_async=False) == "fine"
    finally:
        go_on.set()


@pytest.mark.parametrize("is_async", [True, False])
async def test_sys_exit_is_the_plugins_failure(calls, is_async):
    """A plugin that wants to end the process does not."""

    async def exits():
        sys.exit(2)

    with pytest.raises(PluginFailedError, match=r"sys\.exit\(2\)"):
        await calls.call(exits if is_async else lambda: sys.exit(2), is_async=is_async)


async def test_a_plugin_that_cancels_itself_has_failed(calls):
    """The run was not cancelled from outside, so the plugin's own cancellation is a failure."""

    async def cancels():
        raise asyncio.CancelledError

    with pytest.raises(PluginFailedError, match="cancelled from within"):
        await calls.call(cancels, is_async=True)


async def test_a_real_cancellation_goes_through(calls):
    """When the caller is cancelled, so is the plugin."""
    never = asyncio.get_running_loop().create_future()

    async def waits():
        await never

    task = asyncio.create_task(calls.call(waits, is_async=True))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_stop_iteration_from_a_thread_is_an_ordinary_failure(calls):
    """The one exception that no future can carry does not leave the caller waiting."""
    with pytest.raises(PluginError, match="StopIteration"):
        await calls.call(lambda: next(iter(())), is_async=False)


async def test_a_successful_call_is_not_repeated_and_does_not_check_redis(calls, redis):
    """The ordinary case costs no question."""
    attempt = fails()
    assert await calls.insist(attempt, retries=3) == "fine"
    assert (attempt.count, redis.asked) == (1, 0)


async def test_a_failure_is_repeated_as_often_as_wanted(calls):
    """With two retries the third try is the last."""
    attempt = fails(ValueError("1"), ValueError("2"))
    assert await calls.insist(attempt, retries=2) == "fine"
    attempt = fails(*(ValueError(str(n)) for n in range(3)))
    with pytest.raises(ValueError, match="2"):
        await calls.insist(attempt, retries=2)
    assert attempt.count == 3


async def test_without_redis_a_failure_is_not_the_plugins(calls, redis):
    """While Redis is away tries are repeated and none is counted."""
    redis.away = 3
    attempt = fails(ValueError(), ValueError())
    assert await calls.insist(attempt, retries=1) == "fine"
    assert attempt.count == 3


async def test_an_outage_that_is_over_when_asked_still_excuses(calls, redis):
    """A command of this process found Redis away during the try: it is not counted."""

    async def attempt():
        attempt.count += 1
        if attempt.count == 1:
            note(no_memory=False)
            raise ValueError
        return "fine"

    attempt.count = 0
    assert await calls.insist(attempt, retries=0) == "fine"


async def test_excuses_come_to_an_end(calls, redis):
    """What always fails and always blames Redis, which is there when asked, fails in the end."""

    async def attempt():
        attempt.count += 1
        note(no_memory=False)
        raise ValueError

    attempt.count = 0
    with pytest.raises(ValueError):  # noqa: PT011 -- no text to match
        await calls.insist(attempt, retries=0)
    assert attempt.count == FLAPS + 1


async def test_a_run_that_is_not_ours_is_not_insisted_on(calls, redis):
    """A refused write ends the matter at once, Redis or no Redis."""
    attempt = fails(ConflictError(), ConflictError())
    with pytest.raises(ConflictError):
        await calls.insist(attempt, retries=5)
    assert (attempt.count, redis.asked) == (1, 0)


def a_storage(save, retries=0):
    """A storage with this `save`."""
    return LoadedStorage(name="shelf", options={}, is_async=False, save=save, retries=retries)


async def test_a_save_says_why_it_failed(calls):
    """None is success; else the last error in one line."""
    assert await calls.save(a_storage(lambda *_: None), "vcon") is None

    def refuses(*_):
        raise OSError("disk full\nmore")

    assert await calls.save(a_storage(refuses), "vcon") == "OSError: disk full"


async def test_may_start_is_awaited_before_each_try_of_a_save(calls):
    """What `may_start` raises is raised, and the storage is not called again."""
    tried = []

    def refuses(*_):
        tried.append(1)
        raise OSError("no")

    async def only_once():
        if tried:
            raise ConflictError

    with pytest.raises(ConflictError):
        await calls.save(a_storage(refuses, retries=5), "vcon", only_once)
    assert tried == [1]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("x"), "ValueError: x"),
        (ValueError(), "ValueError"),
        (ValueError("\n first\nsecond"), "ValueError: first"),
    ],
)
def test_an_error_is_described_in_one_line(error, text):
    """Type and first line."""
    assert describe(error) == text


def test_a_description_has_an_end():
    """However much an error says."""
    assert len(describe(ValueError("x" * 10_000))) == 500


async def test_a_cancelled_call_drops_what_its_plugin_raises(calls):
    """Whenever that is; else asyncio would log it as never retrieved."""
    logged, begun, go = [], asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context))

    async def ends_badly():
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await go.wait()
            raise ValueError

    for more in (0, 1):  # cancelled once; and again, by the end of the process
        begun.clear()
        go.clear()
        call = asyncio.create_task(calls.call(ends_badly, is_async=True))
        await begun.wait()
        call.cancel()
        await asyncio.sleep(0)
        if more:
            call.cancel()
            await asyncio.sleep(0)
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await call
    await asyncio.sleep(0)
    gc.collect()
    assert logged == []
