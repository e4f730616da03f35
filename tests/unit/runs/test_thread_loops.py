"""`asyncio.get_event_loop()` in a sync plugin, as code written for vcon-server calls it."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.redis_client.client import RedisConnection
from pipeline.runs import calls as thread_loops
from pipeline.runs.calls import PluginCalls


@pytest.fixture
def calls() -> Iterator[PluginCalls]:
    """Calls with one thread, so that plugins come after one another in it."""
    calls = PluginCalls(1, RedisConnection("redis://nowhere:1/0"))
    yield calls
    calls.close()


async def seven() -> int:
    """Something to wait for."""
    await asyncio.sleep(0)
    return 7


def by_get_event_loop() -> int:
    """What a link of vcon-server does."""
    return asyncio.get_event_loop().run_until_complete(seven())


def as_tasks() -> int:
    """Tasks and futures of that loop."""
    loop = asyncio.get_event_loop()
    future = loop.create_future()
    loop.call_soon(future.set_result, 7)
    both = asyncio.gather(loop.create_task(seven()), future)
    assert loop.run_until_complete(both) == [7, 7]
    return loop.run_until_complete(asyncio.wait_for(seven(), 60))


def by_run() -> int:
    """`asyncio.run` makes one of its own and leaves none behind."""
    return asyncio.run(seven())


def with_one_of_its_own() -> int:
    """A loop that the plugin makes, sets and closes."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return asyncio.get_event_loop().run_until_complete(seven())
    finally:
        loop.close()


def and_closes() -> int:
    """The loop it was given is closed."""
    loop = asyncio.get_event_loop()
    try:
        return loop.run_until_complete(seven())
    finally:
        loop.close()


WAYS = [by_get_event_loop, as_tasks, by_run, with_one_of_its_own, and_closes]


@pytest.mark.parametrize("way", WAYS)
async def test_a_sync_plugin_has_a_loop(calls: PluginCalls, way: Any) -> None:
    """Also if another plugin has set a loop in the same thread before."""
    for before in WAYS:
        assert await calls.call(before, is_async=False) == 7
        assert await calls.call(way, is_async=False) == 7


async def test_it_is_made_only_when_it_is_used_and_goes_with_the_thread() -> None:
    """A plugin that does not ask for one costs no descriptors; none is left open."""
    calls = PluginCalls(1, RedisConnection("redis://nowhere:1/0"))

    def loop() -> thread_loops.ThreadLoop:
        return asyncio.get_event_loop_policy().get_event_loop()  # type: ignore[return-value]

    given = await calls.call(loop, is_async=False)
    assert given._real is None
    await calls.call(by_get_event_loop, is_async=False)
    real = given._real
    assert not real.is_closed()
    gone = weakref.ref(given)
    del given
    calls.close()
    await asyncio.to_thread(lambda: [gc.collect() for _ in range(3)])
    assert gone() is None
    assert real.is_closed()


async def test_the_loop_of_the_service_is_another(calls: PluginCalls) -> None:
    """The plugin blocks its thread, never the service."""
    ours = asyncio.get_running_loop()
    assert await calls.call(lambda: asyncio.get_event_loop() is not ours, is_async=False)
    assert asyncio.get_event_loop() is ours
