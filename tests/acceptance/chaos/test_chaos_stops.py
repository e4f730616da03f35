"""Stopping a service loses nothing and takes no longer than it must."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conftest import Play


async def test_under_load(play: Play) -> None:
    """SIGTERM ends one worker or three, busy or idle, with exit code 0 inside the grace."""
    await play("SIGTERM under load")


async def test_twice(play: Play) -> None:
    """A second SIGTERM ends it at once, and what ran is back at the head of its list."""
    await play("SIGTERM twice")


async def test_without_redis(play: Play) -> None:
    """SIGTERM while Redis is away ends it with exit code 0, and nothing is lost."""
    await play("SIGTERM while Redis is away")
