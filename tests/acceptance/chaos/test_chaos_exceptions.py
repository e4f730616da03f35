"""Plugins that raise what is no `Exception` end neither a process nor anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conftest import Play


async def test_no_exceptions(play: Play) -> None:
    """Three attempts, then a dead letter with the reason."""
    await play("no exception")
