"""What a caller waits for when Postgres does not answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from core.errors import ConflictError, UnavailableError
from pipeline import brief_calls
from pipeline.brief_calls import BriefCalls


@pytest.fixture
def briefly() -> Iterator[BriefCalls]:
    """Calls, until the end of the test."""
    calls = BriefCalls()
    yield calls
    calls.close()


async def test_a_call_is_answered(briefly: BriefCalls) -> None:
    """With what the function returns or raises."""

    def failing() -> None:
        raise ConflictError("no")

    assert await briefly(divmod, 7, 2) == (3, 1)
    with pytest.raises(ConflictError, match="no"):
        await briefly(failing)
    assert await briefly(int, "11", base=2) == 3


async def test_none_begins_while_another_hangs(
    briefly: BriefCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is enough, whatever threads are free; then all is well again."""
    answer, began = threading.Event(), []

    def hanging() -> None:
        began.append(1)
        answer.wait()

    monkeypatch.setattr(brief_calls, "LIMIT", 0.05)
    with pytest.raises(UnavailableError):
        await briefly(hanging)
    [late] = briefly._late
    for function in (hanging, list):
        with pytest.raises(UnavailableError):
            await briefly(function)
    assert began == [1]
    answer.set()
    await asyncio.wrap_future(late)
    monkeypatch.undo()
    assert await briefly(len, "x") == 1
