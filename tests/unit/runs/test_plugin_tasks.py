"""Which threads a plugin is told to have left running."""

import asyncio
import threading

import pytest

from core.concurrency.thread_pool import BoundedCalls, in_own_thread
from pipeline.runs.plugin_tasks import Leftovers


async def test_threads_of_the_service_are_not_a_plugins(caplog: pytest.LogCaptureFixture) -> None:
    """They may begin while a plugin runs; a thread that is none of them is named."""
    leftovers, before, end = Leftovers(), threading.active_count(), threading.Event()
    calls = BoundedCalls("postgres", threads=1, waiting=1, seconds=5)
    own = asyncio.create_task(in_own_thread(end.wait))
    await calls(threading.active_count)
    leftovers.of_threads(before, {"storage": "s3"})
    assert caplog.records == []
    other = threading.Thread(target=end.wait, name="forgotten")
    other.start()
    leftovers.of_threads(before, {"storage": "s3"})
    end.set()
    await own
    other.join()
    assert [each.error for each in caplog.records] == ["threads still run: forgotten"]  # type: ignore[attr-defined]
