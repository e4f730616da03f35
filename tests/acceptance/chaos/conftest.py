"""The servers that all scenarios of a session share and hurt, and how a test plays one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from devstack.chaos.system.servers import Servers

type Play = Callable[[str], Awaitable[None]]


@pytest.fixture(scope="session")
def chaos_servers() -> Iterator[Servers]:
    """Valkey and PostgreSQL of their own: scenarios kill them."""
    from devstack.chaos.system.servers import running

    with running() as servers:
        yield servers


@pytest.fixture
def play(chaos_servers: Servers) -> Play:
    """Plays the short form of the scenario with this event; fails with all that went wrong."""
    from devstack.chaos.catalogue import SCENARIOS, run

    async def play(event: str) -> None:
        [scenario] = [each for each in SCENARIOS if each.event == event]
        report = await run(scenario, chaos_servers, scenario.short)
        assert report.good, "\n".join([f"{event}: {report.figures()}", *report.complaints()])

    return play
