"""Nothing is lost when processes are killed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytestmark = pytest.mark.executed  # how a service sees that a worker has died

if TYPE_CHECKING:
    from .conftest import Play


async def test_one_of_two_workers(play: Play) -> None:
    """Every vCon ends as promised, and once, however often one of two workers is killed."""
    await play("one of two workers killed")


async def test_the_only_worker(play: Play) -> None:
    """So it does when the only worker is killed, or the service, and its worker with it."""
    await play("the only worker or its service killed")


async def test_a_deadly_vcon(play: Play) -> None:
    """A vCon that kills its process is a dead letter after three times; the others pay nothing."""
    await play("a vCon that kills its process")
