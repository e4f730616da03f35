"""A server that fails and works when it is told to, and links that call it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pipeline.config.model import Destination, LinkStep
from pipeline.destinations.gate import breaker_of, interval_of
from pipeline.destinations.replies import Ended, Go, Later, entered
from pipeline.plugins.loader import LoadedLink
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
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


@dataclass
class Book:
    """The scripts of one destination, at times that the test gives."""

    redis: RedisConnection
    to: Destination
    now: int = 1_000_000_000

    async def enter(self, who: str, place: str = "") -> Go | Later:
        """Ask for a slot; the call is named by its run."""
        return entered(
            await self.redis.script(
                "enter_destination",
                self.to.name,
                f"call of {who}",
                place or f"in\n{who}",
                self.now,
                30_000,
                1000,
                self.to.max_in_flight or 0,
                interval_of(self.to),
                int(breaker_of(self.to).failures > 0),
            )
        )

    async def leave(self, who: str, outcome: str = "ok", took: int = 100) -> Ended:
        """End the call of a run."""
        breaker = breaker_of(self.to)
        return Ended.of(
            await self.redis.script(
                "leave_destination",
                self.to.name,
                f"call of {who}",
                f"in\n{who}" if outcome == "failed" else "",
                self.now,
                outcome,
                took,
                self.to.max_in_flight or 0,
                interval_of(self.to),
                breaker.failures,
                int(breaker.seconds * 1000),
                600_000,
                "an error",
                "2026-11-30T08:00:00+00:00",
            )
        )

    async def park(self, who: str, wait: Go | Later | Ended) -> None:
        """Put the run among the delayed retries, as its settlement does."""
        due = self.now + int(wait.seconds * 1000)
        await self.redis.command("ZADD", keys.LATER, due, f"in\n{who}")

    async def due(self, who: str) -> float | None:
        """Seconds until it returns; None if it is among the delayed retries no more."""
        score = await self.redis.command("ZSCORE", keys.LATER, f"in\n{who}")
        return None if score is None else float(score) / 1000 - self.now / 1000
