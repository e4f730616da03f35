"""A worker that was wrongly taken for dead does no harm when it wakes up."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conftest import Play


async def test_a_worker_beside_another(play: Play) -> None:
    """What another worker took over is forwarded once, and the first one writes nothing more."""
    await play("one of two workers stopped past its lease")


async def test_the_only_worker(play: Play) -> None:
    """A worker that takes over from itself runs no link twice at once, and writes nothing stale."""
    await play("the only worker stopped past its lease")
