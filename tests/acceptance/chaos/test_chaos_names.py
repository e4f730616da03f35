"""What other programs and clocks do to the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conftest import Play


async def test_keys_of_another_type(play: Play) -> None:
    """A name that another program takes for a while loses nothing and is blamed on no vCon."""
    await play("foreign type")


async def test_clocks_that_are_stepped(play: Play) -> None:
    """Retries come when they are due by Redis' clock, independent of the machines' clocks."""
    await play("clock")
