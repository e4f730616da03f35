"""A table that stays locked: what asks for it is answered in time, and all else goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from devstack.chaos.system.processes import workers_of
from devstack.deployment import DATABASE, Deployment

CEILING = 60.0  # seconds; reached only when something is broken
CONFIG = "chains: {main: {ingress_lists: [calls]}}\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration file with one chain."""
    (path := tmp_path / "config.yml").write_text(CONFIG)
    return path


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Until something holds of the service that it tells only when asked."""
    async with asyncio.timeout(CEILING):
        while not await holds():  # noqa: ASYNC110 -- the service offers no event for it
            await asyncio.sleep(0.05)


async def test_a_lock_on_the_runs_stops_nothing_else(config: Path) -> None:
    """Of 100 `GetRun` each is told 503 or 504; a dead worker is replaced, a new file is taken."""
    settings = {"POSTGRES_LOCK_TIMEOUT": "15", "ACTION_TIMEOUT": "3"}
    async with Deployment(config, settings=settings) as system:
        service = system.service
        with psycopg.connect(system.stack.postgres.url(DATABASE)) as locking:
            locking.execute("LOCK TABLE chain_runs IN ACCESS EXCLUSIVE MODE")
            asked = [
                asyncio.ensure_future(system.call("GetRun", run_id=str(uuid4())))
                for _ in range(100)
            ]
            [first] = workers_of(service.pid)
            first.kill()
            await asyncio.to_thread(config.write_text, CONFIG.replace("main", "other"))

            async def replaced() -> bool:
                return bool(set(workers_of(service.pid)) - {first})

            async def reloaded() -> bool:
                answer = await system.call("ListChains")
                return [each["name"] for each in answer.json()["fields"]["chains"]] == ["other"]

            await until(replaced)
            await until(reloaded)
            async with asyncio.timeout(CEILING):
                answers = await asyncio.gather(*asked)
        assert {answer.status_code for answer in answers} <= {503, 504}
        assert all(len(answer.json()["message"]) > 20 for answer in answers)

        async def answered() -> bool:  # once a thread of those that waited for the lock is free
            after = await system.call("GetRun", run_id=str(uuid4()))
            assert after.status_code in (404, 503)
            return bool(after.status_code == 404)

        await until(answered)
