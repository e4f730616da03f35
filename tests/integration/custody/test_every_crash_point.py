"""Accepting and recovering, killed at every message to Redis and Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from core.db.database import Database
from core.settings import DatabaseSettings
from pipeline.redis_client.client import RedisConnection
from tests.integration.custody.crash_points import Abandoned, Cut, every_message, until_cut
from tests.integration.custody.custody_scene import an_entry
from tests.integration.custody.killed_scene import KilledScene
from tests.integration.recovery.recovery_scene import RecoveryScene
from tests.integration.support.pipeline_fixtures import postgres_calls


@pytest.fixture
def killed(
    redis: RedisConnection,
    client: Redis,
    migrated: Database,
    redis_url: str,
    valkey_server: Any,
    database_settings: DatabaseSettings,
) -> Iterator[KilledScene]:
    """A replica that lives, and the servers."""
    calls = postgres_calls()
    whole = RecoveryScene(redis, client, migrated, calls)
    yield KilledScene(whole, redis_url, valkey_server.port, database_settings)
    calls.close()


async def test_accept(killed: KilledScene) -> None:
    """An answered request is held; the caller of another repeats it: one element, also later."""
    answers = []

    async def attempt(cut: Cut) -> None:
        killed.begin()
        entry = an_entry()
        async with killed.mortal(cut) as replica:
            try:
                await until_cut(cut, replica.intake.ingest(entry, ["in"]))
                answers.append(True)
                killed.check()
            except Abandoned:
                answers.append(False)
        await killed.whole.intake.ingest(entry, ["in"])
        assert killed.queued()["in"] == [entry.vcon_uuid]
        killed.whole.client.flushall()
        await killed.whole.recover()
        killed.check()
        assert killed.queued()["in"] == [entry.vcon_uuid]

    assert await every_message(attempt) > 4
    assert answers[0] is False
    assert answers[-1] is True


async def test_recover(killed: KilledScene) -> None:
    """Another replica goes on: each open place is queued once, nothing released is."""

    async def attempt(cut: Cut) -> None:
        killed.begin()
        one = await killed.whole.accept(["in"])
        both = await killed.whole.accept(["in", "two"])
        done = await killed.whole.accept(["two"])
        killed.whole.release(done, "two")
        killed.whole.client.flushall()
        async with killed.mortal(cut) as replica:
            try:
                await until_cut(cut, replica.watch("killed").finish())
            except Abandoned:
                killed.whole.some_time_later()
        await killed.whole.recover()
        killed.check()
        assert killed.queued() == {
            "in": sorted([one.vcon_uuid, both.vcon_uuid]),
            "two": [both.vcon_uuid],
        }

    assert await every_message(attempt) > 20
