"""Kills real code at every point at which it can be killed, not at a sample of points.

Two kinds of points, each repeated for n = 1, 2, 3, ... until the code ends before point n:

- Every message to a server (`killed_at_message`): between every two statements, also inside a
  transaction and in threads; see `mortal_servers`.
- Every await (`killed_at_await`). The coroutine is driven by hand and not resumed after its n-th
  suspension. What it waited for has happened by then. Nothing of it is run any more, no `finally`
  either, since the abandoned coroutine is kept from being collected: a `CancelledError` would run
  handlers, a killed process runs none. Its transactions are rolled back, and the tasks that it has
  started reach no server any more.
"""

import asyncio
import ctypes
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from typing import Any

from tests.integration.custody.mortal_servers import Kill

MOST_POINTS = 1000
"""More points mean that the code does not end."""

type Work = Callable[[], Coroutine[Any, Any, object]]
type Start = Callable[[Kill], None]
type Attempt = Callable[[Callable[[Start, Work], Awaitable[bool]]], Awaitable[bool]]


class Abandoned(Exception):  # noqa: N818 -- what happened, not a fault
    """The coroutine was killed."""


async def killed_at_message(point: int, start: Start, work: Work) -> bool:
    """Run `work`, killed before its message `point`; whether it was."""
    kill = Kill(point)
    start(kill)
    task, dead = asyncio.ensure_future(work()), asyncio.ensure_future(kill.event.wait())
    await asyncio.wait({task, dead}, return_when=asyncio.FIRST_COMPLETED)
    dead.cancel()
    if not kill.has_happened:
        await task
        return False
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return True


async def killed_at_await(point: int, start: Start, work: Work) -> bool:
    """Run `work`, which is not resumed after its await `point`; whether it was killed."""
    kill = Kill()
    start(kill)
    # a task of its own, since time limits of the abandoned code cancel the task that they began in
    task = asyncio.create_task(run_to_await(work(), point))
    try:
        await task
    except Abandoned:
        kill.now()
        return True
    return False


async def everywhere(attempt: Attempt) -> list[int]:
    """Kill code at every point; the number of points of each kind.

    `attempt` gets what kills, calls it with the code, checks what must hold afterwards, and returns
    whether the code was killed.
    """
    found = []
    for way in (killed_at_message, killed_at_await):
        for point in range(1, MOST_POINTS):
            if not await attempt(partial(way, point)):
                found.append(point - 1)
                break
        else:
            raise AssertionError("the code to be killed does not end")
    return found


def is_await(killing: Any) -> bool:
    """Whether code is killed at an await; else at a message."""
    return killing.func is killed_at_await


class _Driven:
    """An awaitable that drives a coroutine up to its n-th suspension."""

    def __init__(self, work: Coroutine[Any, Any, object], at: int) -> None:
        self._work, self._at = work, at

    def __await__(self) -> Generator[Any, Any, object]:
        driven = self._work.__await__()
        resume: Callable[[Any], Any] = driven.send
        given: BaseException | None = None
        for _ in range(self._at - 1):
            try:
                waited_for = resume(given)
            except StopIteration as done:
                return done.value
            resume, given = driven.send, None
            try:
                yield waited_for
            except BaseException as error:
                resume, given = driven.throw, error
        try:
            waited_for = resume(given)
        except StopIteration as done:
            return done.value
        _abandon((self._work, driven))
        if waited_for is not None:
            yield from _happened(waited_for)
        raise Abandoned


def _abandon(killed: object) -> None:
    """Keep it from being collected, at the end, too, which would raise `GeneratorExit` in it."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(killed))


def _happened(future: asyncio.Future[Any]) -> Generator[Any, Any, None]:
    """Wait until what the coroutine waits for has happened, without telling it."""
    future._asyncio_future_blocking = False
    while not future.done():
        yield


async def run_to_await(work: Coroutine[Any, Any, object], at: int) -> object:
    """The result of `work`, which is not resumed after its suspension number `at`.

    Raises:
        Abandoned: it was killed.
    """
    return await _Driven(work, at)
