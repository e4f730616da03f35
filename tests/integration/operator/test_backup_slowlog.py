"""While a backup is read, Redis answers others: no command takes long, and no batch is large."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, BinaryIO, cast

import pytest

from core.settings import DatabaseSettings
from pipeline.operator.backup.format import Writer
from pipeline.operator.backup.operations import Backups, _Progress
from tests.integration.operator.backup_scene import SORTED_SET, quiet
from tests.integration.redis_client.slowlog_scene import Slowlog, slowlog

MANY = 20_000
DOCUMENTS = 50
LARGE = {"analysis": [{"body": "x" * 5_000_000}]}
MOST_BYTES = 12_000_000
"""Of the replies of one batch: a document of 5 MB is alone in it, as text and bytes."""


class Nowhere:
    """A file that keeps nothing."""

    def write(self, data: bytes) -> int:
        """Forget it."""
        return len(data)


@pytest.fixture
async def log(redis_url: str) -> AsyncIterator[Slowlog]:
    """The operations half on a Redis that logs what takes long."""
    async with slowlog(redis_url) as opened:
        yield opened


async def read(log: Slowlog, settings: DatabaseSettings) -> None:
    """The part of a backup that reads Redis."""
    file = Writer(cast("BinaryIO", Nowhere()), {})
    await Backups(log.ops.redis, settings, SORTED_SET)._write_redis(file, _Progress(quiet))


async def test_no_command_takes_long(log: Slowlog, database_settings: DatabaseSettings) -> None:
    """Lists, sets, hashes and sorted sets of any length; one large document is an exception."""

    def fill() -> None:
        log.fill("RPUSH", "in", count=MANY)
        log.fill("SADD", "tel:1", count=MANY)
        log.fill("HSET", "pc:dead:DLQ:in", value="{}", count=MANY)
        log.fill("ZADD", "pc:later", score=lambda n: n, prefix="in\n", count=MANY)
        log.fill("ZADD", "pc:lease:out", score=lambda n: n, count=MANY)
        log.fill("HSET", "pc:owners", value="", count=MANY)
        for number in range(DOCUMENTS):
            log.ops.client.json().set(f"vcon:{number}", ".", {"body": "x" * 1000})
        log.ops.client.json().set("vcon:large", ".", LARGE)

    await log.check(lambda: read(log, database_settings), fill, besides=("json.get",))


async def test_large_documents_are_read_one_by_one(
    log: Slowlog, database_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are: so much is in memory, and so long does a batch take Redis."""
    for number in range(8):
        log.ops.client.json().set(f"vcon:large{number}", ".", LARGE)
    largest, running, command = 0, 0, log.ops.redis.command

    async def counting(*words: Any) -> Any:
        nonlocal largest, running
        reply = await command(*words)
        size = len(reply) if isinstance(reply, str) else 0
        running += size
        largest = max(largest, running)
        await asyncio.sleep(0)  # the replies of a batch are all here before this goes on
        running -= size
        return reply

    monkeypatch.setattr(log.ops.redis, "command", counting)
    await read(log, database_settings)
    assert 5_000_000 < largest < MOST_BYTES
