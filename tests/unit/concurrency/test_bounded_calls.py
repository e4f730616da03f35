"""What a caller waits for when Postgres does not answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from core.concurrency.thread_pool import BoundedCalls
from core.errors import ConflictError, UnavailableError


@pytest.fixture
def briefly() -> Iterator[BoundedCalls]:
    """Calls, until the end of the test."""
    calls = BoundedCalls("test", threads=2, waiting=1, seconds=60, late=1)
    yield calls
    calls.close()


async def test_a_call_is_answered(briefly: BoundedCalls) -> None:
    """With what the function returns or raises."""

    def failing() -> None:
        raise ConflictError("no")

    assert await briefly(divmod, 7, 2) == (3, 1)
    with pytest.raises(ConflictError, match="no"):
        await briefly(failing)
    assert await briefly(int, "11", base=2) == 3


async def test_none_begins_while_another_hangs(
    briefly: BoundedCalls,
) -> None:
    """One late call is enough, even with free threads, and only until it ends."""
    answer, began = threading.Event(), []

    def hanging() -> None:
        began.append(1)
        answer.wait()

    briefly.seconds = 0.05
    with pytest.raises(UnavailableError):
        await briefly(hanging)
    [late] = briefly._late
    for function in (hanging, list):
        with pytest.raises(UnavailableError):
            await briefly(function)
    assert began == [1]
    answer.set()
    await asyncio.wrap_future(late)
    briefly.seconds = 60
    assert await briefly(len, "x") == 1


async def test_what_does_not_fit_is_refused_at_once(briefly: BoundedCalls) -> None:
    """Two at work and one that waits are the most; there is room again when they are done."""
    answer = threading.Event()
    calls = [asyncio.ensure_future(briefly(answer.wait)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError, match="3 calls to Postgres are at work or wait"):
        await briefly(len, "x")
    answer.set()
    assert await asyncio.gather(*calls) == [True] * 3
    assert await briefly(len, "x") == 1


async def test_a_call_that_never_began_is_not_late(briefly: BoundedCalls) -> None:
    """It is taken out of the queue when its caller goes; nothing hangs on it."""
    answer = threading.Event()
    calls = [asyncio.ensure_future(briefly(answer.wait)) for _ in range(2)]
    waiting = asyncio.ensure_future(briefly(len, "x"))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    answer.set()
    assert await asyncio.gather(*calls, briefly(len, "y")) == [True, True, 1]
