"""What vcon-server's clients ask for does not keep Redis from others, however much there is."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.redis_client.slowlog_scene import ENTRIES, Slowlog, slowlog, uuids_at
from tests.integration.support.pipeline_fixtures import configured


@pytest.fixture
async def log(redis_url: str) -> AsyncIterator[Slowlog]:
    """A chain from `in` to `out`."""
    async with slowlog(redis_url) as opened:
        opened.ops.configure(configured())
        yield opened


async def test_pages_by_number(log: Slowlog) -> None:
    """The largest one, a late one, and those of an import with both forms of members."""

    def imported() -> None:
        log.fill("ZADD", "vcons", score=lambda _: 0)
        log.fill("ZADD", "vcons", score=lambda _: 0, prefix="vcon:", count=20_000)

    async def pages() -> None:
        page = log.ops.vcon_server.page
        assert await page(1, 25_000, 0, 0) == uuids_at(*range(ENTRIES, ENTRIES - 25_000, -1))
        assert await page(30_000, 10, None, None) == uuids_at(*range(10, 0, -1))
        assert await page(30_001, 10, None, None) == []

    await log.check(pages, imported)


async def test_many_popped_and_dead_letters_listed(log: Slowlog) -> None:
    """In slices, in the order of the list."""

    def filled() -> None:
        log.fill("RPUSH", "out")
        log.fill("RPUSH", "DLQ:in")

    async def read() -> None:
        ops = log.ops.vcon_server
        assert await ops.pop("out", 10_000) == uuids_at(*range(1, 10_001))
        assert len(await ops.dead_letter_uuids("in", None)) == 100_000

    await log.check(read, filled)


async def test_indexing_among_many_keys(log: Slowlog) -> None:
    """Keys of every type are looked at in slices."""

    def filled() -> None:
        log.fill("MSET", value="x", prefix="other:")
        for vcon_uuid in uuids_at(*range(1, 1001)):
            log.ops.client.json().set(f"vcon:{vcon_uuid}", ".", {"parties": [{"tel": "+1"}]})

    async def index() -> None:
        assert await log.ops.vcon_server.reindex() == 1000

    await log.check(index, filled)
