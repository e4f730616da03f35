"""Steps of periodic tasks."""

import asyncio

import pytest

from core.errors import UnusableKeyError
from pipeline.redis_client.periodic import skip_unusable


async def test_a_step_that_is_cancelled_before_it_begins_is_not_made() -> None:
    """A coroutine that was made and never awaited is a warning at some later moment."""
    made: list[str] = []

    async def nothing() -> None:
        """The step's own work."""

    def step(name: str) -> object:
        made.append(name)
        return nothing()

    task = asyncio.create_task(skip_unusable(step, "first"))  # type: ignore[arg-type]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert made == []


async def test_an_unusable_key_ends_a_step() -> None:
    """Without an error."""

    async def step() -> None:
        raise UnusableKeyError("key: hash, not list")

    await skip_unusable(step)
