"""A server that fails and works when it is told to, and links that call it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pipeline.config.model import Destination, LinkStep
from pipeline.plugins.loader import LoadedLink
from tests.integration.support.pipeline_fixtures import PATIENCE, link


class Peer:
    """What is called; `works` says whether it answers."""

    def __init__(self, *, works: bool = True) -> None:
        self.works = works
        self.called: list[str] = []
        self.failed: list[str] = []
        self.inside = 0
        self.most = 0
        self.open = asyncio.Event()
        self.arrived: asyncio.Queue[str] = asyncio.Queue()
        self.open.set()

    async def call(self, vcon_uuid: str, _name: str, _options: Any) -> str:
        """A link that calls it."""
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.arrived.put_nowait(vcon_uuid)
        try:
            await self.open.wait()
            if not self.works:
                self.failed.append(vcon_uuid)
                raise ConnectionRefusedError("nothing listens there")
            self.called.append(vcon_uuid)
        finally:
            self.inside -= 1
        return vcon_uuid


def step_to(
    run: Callable[..., Any], to: Destination, name: str = "send", **how: Any
) -> tuple[LinkStep, LoadedLink]:
    """A link with a destination."""
    step, loaded = link(run, name, **how)
    return replace(step, destination=to), loaded


async def until(holds: Callable[[], object]) -> None:
    """Wait until this is true."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 -- Redis sends no event for it
            await asyncio.sleep(0.01)
