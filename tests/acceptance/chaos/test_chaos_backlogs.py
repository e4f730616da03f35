"""Nothing is lost by lying around, nor by the very first start."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conftest import Play


async def test_times_to_live(play: Play) -> None:
    """No vCon expires that waits, is a dead letter or unread, even with a time to live."""
    await play("a backlog older than every TTL")


async def test_a_fresh_database(play: Play) -> None:
    """Eight services may start at once on a database without tables."""
    await play("eight services on a fresh database")
