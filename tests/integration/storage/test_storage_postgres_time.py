"""The PostgreSQL storage on a server that takes its time, or has stopped altogether."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
import pytest

from devstack.servers.postgres import Postgres
from storage import postgres
from storage.postgres import limits, pools
from tests.integration.support.postgres_scene import as_options, as_settings
from tests.plugins.scene import TAGGED, canonical, connected

VCON = canonical(TAGGED)
UUID = VCON["uuid"]
CEILING_SECONDS = 60
PROCESSES = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND application_name = 'patchcord'"


@pytest.fixture
async def options(
    postgres_server: Postgres, empty_database: str, redis_url: str
) -> AsyncIterator[dict[str, Any]]:
    """Options of a storage that has saved a vCon once, and has little time from now on."""
    options = as_options(postgres_server, empty_database) | {"timeout": 0.2, "pool_size": 1}
    async with connected(redis_url) as store, asyncio.timeout(CEILING_SECONDS):
        await store.put(VCON)
        await saved(options)
        yield options
        await postgres.close()


@pytest.fixture
def other(options: dict[str, Any]) -> Iterator[psycopg.Connection[Any]]:
    """Another client's connection to the database."""
    with psycopg.connect(**as_settings(options)) as connection:
        yield connection


def processes(database: psycopg.Connection[Any], options: dict[str, Any]) -> list[int]:
    """Those of the server that serve the storage."""
    with database.transaction():
        return [pid for (pid,) in database.execute(PROCESSES, [options["database"]])]


async def saved(options: dict[str, Any]) -> None:
    """Save it, as often as it takes: a busy machine may need longer than the storage has."""
    async with asyncio.timeout(CEILING_SECONDS):
        while True:
            with suppress(psycopg.OperationalError):
                return await postgres.save(UUID, options)
            await asyncio.sleep(0.01)


@asynccontextmanager
async def frozen(pids: list[int]) -> AsyncIterator[None]:
    """They stand still, with their connections open."""
    _send(signal.SIGSTOP, pids)
    try:
        async with asyncio.timeout(CEILING_SECONDS):
            yield
    finally:
        _send(signal.SIGCONT, pids)


def _send(number: signal.Signals, pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # one that has just let its client go
            os.kill(pid, number)


async def test_a_locked_table_is_not_waited_for_for_ever(
    options: dict[str, Any], other: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server gives up, and the connection can be used further."""
    monkeypatch.setattr(limits, "GRACE", CEILING_SECONDS)
    before = set(processes(other, options))
    with other.transaction():
        other.execute("LOCK TABLE vcons")
        with pytest.raises(psycopg.errors.QueryCanceled, match="statement timeout"):
            await postgres.save(UUID, options)
    await saved(options)
    assert set(processes(other, options)) <= before


async def test_a_frozen_server_is_not_waited_for_for_ever(
    options: dict[str, Any], other: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is broken off; the next save has another."""
    monkeypatch.setattr(limits, "GRACE", 0.1)
    stopped = processes(other, options)
    async with frozen(stopped):
        with pytest.raises(psycopg.OperationalError, match=r"no answer within 0\.2 seconds"):
            await postgres.save(UUID, options)
        await saved(options)


async def test_connections_that_lie_idle_are_not_waited_for_either(
    options: dict[str, Any], other: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks whether they are alive gives up, too, and puts others in their place."""
    monkeypatch.setattr(limits, "GRACE", 0.1)
    monkeypatch.setattr(pools, "CHECK_TIMEOUT", 0.1)
    async with frozen(await several(options, other)):
        with pytest.raises(psycopg.OperationalError, match="no answer"):
            await postgres.save(UUID, options)
        await asyncio.gather(*(saved(options) for _ in range(20)))


async def test_no_connection_is_lost_when_a_chain_has_no_time_left(
    options: dict[str, Any], other: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While all are being looked at; on a busy machine some of them are given up meanwhile."""
    monkeypatch.setattr(limits, "GRACE", 0.1)
    stopped = await several(options, other)
    async with frozen(stopped):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.6):
                await postgres.save(UUID, options)
    await several(options, other)
    assert set(stopped) & set(processes(other, options))


async def several(options: dict[str, Any], database: psycopg.Connection[Any]) -> list[int]:
    """Give the storage as many connections as it may have."""
    options["pool_size"] = 4
    while len(found := processes(database, options)) < 4:
        reads = (postgres.get(UUID, options) for _ in range(20))
        await asyncio.gather(*reads, return_exceptions=True)  # some may be out of time
    return found
