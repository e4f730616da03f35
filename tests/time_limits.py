"""Time limits of plugins and chains that end when a test says so.

With a limit of a tenth of a second a test fails on a machine that stops for as long before the
plugin is called. An hour is never over: `time_is_up` ends it, at the moment that the test means.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pipeline.runs.call_scope import MovingLimit

HOUR = 3601.0
"""The `timeout` of a call or chain that a test ends; no default is the same."""
NOT_IN_TIME = "did not end within 3601 s"
"""What its error says."""


class TimeIsUp:
    """Ends limits of an `HOUR`."""

    def __init__(self) -> None:
        self._entered: list[MovingLimit] = []

    def entered(self, limit: MovingLimit) -> None:
        """From now on it can be ended."""
        if limit._seconds == HOUR:
            self._entered.append(limit)

    async def never(self, *_: Any) -> None:
        """A plugin that does not end, and whose time is up."""
        self()
        await asyncio.get_running_loop().create_future()

    def __call__(self) -> None:
        """End those that run at present; a plugin may call this in its thread or on the loop."""
        for limit in self._entered:
            limit._task.get_loop().call_soon_threadsafe(_end, limit)
        self._entered.clear()


def _end(limit: MovingLimit) -> None:
    if not limit._handle.cancelled():  # as it is when its block was left
        limit._handle.cancel()
        limit._seconds = -math.inf
        limit._look()


@pytest.fixture
def time_is_up(monkeypatch: pytest.MonkeyPatch) -> TimeIsUp:
    """Call it to end the limits of an `HOUR` that run."""
    from pipeline.runs.call_scope import MovingLimit

    up, enter = TimeIsUp(), MovingLimit.__aenter__

    async def entered(self: MovingLimit) -> MovingLimit:
        await enter(self)
        up.entered(self)
        return self

    monkeypatch.setattr(MovingLimit, "__aenter__", entered)
    return up
