"""What blocks the event loop is named: which action, where, and for how long."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, override

import pytest

from core import request_context
from core.action_response import ActionResponse
from core.concurrency.aio import LoopTimeout
from core.concurrency.thread_pool import BoundedCalls
from core.observability import loop_watch
from core.observability.loop_watch import LoopWatch
from core.request_context import current_request
from core.rpc import dispatcher
from core.rpc.dispatcher import Dispatcher, stepwise
from tests.unit.support.actions_for_tests import TestAction

PATIENCE = 60.0


class Lines(logging.Handler):
    """The lines of the watch, with the fields that their context adds; `told` after each."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []
        self.told = threading.Event()

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append({**request_context.fields(), **record.__dict__})
        self.told.set()


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What is logged by the watch."""
    handler = Lines()
    for log in (loop_watch.log, dispatcher.log):
        log.addHandler(handler)
    yield handler
    for log in (loop_watch.log, dispatcher.log):
        log.removeHandler(handler)


@pytest.fixture
def watching(lines: Lines) -> Iterator[Callable[[], LoopWatch]]:
    """Starts a watch on the running loop."""
    watches: list[LoopWatch] = []

    def start() -> LoopWatch:
        watches.append(LoopWatch(after=0.01))
        watches[0].start()
        return watches[0]

    yield start
    for watch in watches:
        watch.stop()


def block(lines: Lines) -> None:
    """Return only when a line is there."""
    lines.told.wait(PATIENCE)


class Stuck(TestAction):
    """Blocks the event loop until the watch has told of it."""

    @override
    async def run(self, client: Any, websocket: Any) -> ActionResponse:
        client()
        return ActionResponse(status_code=200, fields={})


async def answer(client: Callable[[], None]) -> ActionResponse:
    """The answer of `Stuck`, as a request with a ref."""
    current_request.set(("ref-1", "Stuck"))

    async def run_blocking(function: Callable[[], Any]) -> Any:
        return function()

    return await Dispatcher({"Stuck": Stuck}, run_blocking=run_blocking).answer(
        "Stuck", {}, client, None
    )


async def test_an_action_that_blocks_is_named_while_it_does(
    lines: Lines, watching: Callable[[], LoopWatch]
) -> None:
    """Which one, for which request, in which file and line, for how long so far."""
    watching()
    response = await asyncio.create_task(answer(lambda: block(lines)))
    assert response.status_code == 200
    line = lines.lines[0]
    assert (line["msg"], line["levelname"]) == ("event loop blocked", "WARNING")
    assert (line["action"], line["ref"]) == ("Stuck", "ref-1")
    assert line["seconds"] >= 0
    assert "block (tests/unit/observability/test_loop_watch.py:" in line["error"]


async def test_what_is_no_task_is_told_by_its_place(
    lines: Lines, watching: Callable[[], LoopWatch]
) -> None:
    """A callback of the loop has no request."""
    watching()
    done = asyncio.Event()

    def callback() -> None:
        block(lines)
        done.set()

    asyncio.get_running_loop().call_soon(callback)
    await done.wait()
    assert "action" not in lines.lines[0]
    assert "test_loop_watch.py" in lines.lines[0]["error"]


class Clock:
    """The time of the dispatcher, which passes when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        """As in the module `time`."""
        return self.now

    def pass_time(self) -> None:
        """Longer than a step may take."""
        self.now += 2 * loop_watch.BLOCKED_AFTER


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The dispatcher's clock."""
    monkeypatch.setattr(dispatcher, "time", clock := Clock())
    return clock


async def test_an_action_that_has_blocked_is_named_with_its_seconds(
    lines: Lines, clock: Clock
) -> None:
    """Also one that let no other thread run meanwhile; one line for each step that was long."""
    assert (await answer(clock.pass_time)).status_code == 200
    [line] = lines.lines
    assert (line["msg"], line["action"], line["ref"]) == (
        *("event loop was blocked", "Stuck"),
        "ref-1",
    )
    assert line["seconds"] == clock.now


async def test_waiting_is_no_blocking(lines: Lines, clock: Clock) -> None:
    """A coroutine may take its time; what it gets, gives and raises is as without the measure."""

    async def work() -> int:
        passed = asyncio.Event()
        asyncio.get_running_loop().call_soon(lambda: (clock.pass_time(), passed.set()))
        await passed.wait()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        return 7

    assert await stepwise(work()) == 7
    waiting = asyncio.ensure_future(_awaited(asyncio.Event().wait()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (lines.lines, clock.now > 0) == ([], True)


async def _awaited(work: Any) -> Any:
    return await stepwise(work)


async def test_a_blocked_loop_is_no_reason_to_time_out() -> None:
    """What has come in meanwhile is looked at first."""
    loop = asyncio.get_running_loop()
    reply: asyncio.Future[str] = loop.create_future()

    def blocked() -> None:
        time.sleep(0.3)
        loop.call_soon(loop.call_soon, reply.set_result, "there")

    loop.call_soon(blocked)
    async with LoopTimeout(0.2):
        assert await reply == "there"


async def test_time_is_up_when_the_loop_turns() -> None:
    """After the seconds given, and not when it was in time."""
    with pytest.raises(TimeoutError):
        async with LoopTimeout(0.02):
            await asyncio.Event().wait()
    async with LoopTimeout(0.02):
        pass
    await asyncio.sleep(0.03)


async def test_a_blocked_loop_is_no_outage_of_postgres() -> None:
    """A call in a thread was done while the loop was blocked for longer than the call may take."""
    calls = BoundedCalls("calls", threads=1, waiting=0, seconds=0.2)
    begun = threading.Event()
    calling = asyncio.create_task(calls(lambda: (begun.set(), "done")[1]))
    await asyncio.sleep(0)
    begun.wait(PATIENCE)
    time.sleep(0.4)  # noqa: ASYNC251 -- what a careless action does
    assert await calling == "done"
    calls.close()
