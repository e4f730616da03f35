"""What hangs, blocks the event loop or holds the interpreter's lock stops nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conftest import Play


async def test_vcons_that_hang(play: Play) -> None:
    """Those that were in flight when a worker died hold up no other, and are not blamed."""
    await play("hangs")
