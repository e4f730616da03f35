"""What hangs, blocks the event loop or holds the interpreter's lock stops nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conftest import Play


async def test_vcons_that_hang(play: Play) -> None:
    """Those that were in flight when a worker died hold up no other, and are not blamed."""
    await play("hangs")


async def test_a_blocked_event_loop(play: Play) -> None:
    """The vCon whose link blocks is a dead letter; the others of its worker pay nothing."""
    await play("blocked loop")


async def test_a_held_interpreter(play: Play) -> None:
    """So it is where a C call stops every thread of the worker, which the service must find."""
    await play("holds the GIL")
