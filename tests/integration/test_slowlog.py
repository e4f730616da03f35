"""No command or script keeps Redis from other clients for long, however long a structure is."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.pipeline_fixtures import configured
from tests.integration.slowlog_scene import ENTRIES, Slowlog, slowlog


@pytest.fixture
async def log(redis_url: str) -> AsyncIterator[Slowlog]:
    """A chain from `in` to `out`."""
    async with slowlog(redis_url) as opened:
        opened.ops.configure(configured())
        yield opened


async def test_leases_that_end_at_once(log: Slowlog) -> None:
    """300,000 uuids of one reader come back; another reads meanwhile, in the old order."""
    ops = log.ops

    def lent_out() -> None:
        log.fill("ZADD", "pc:lease:out", "scores")
        ops.client.sadd("pc:lenders", "out")

    async def read_and_take_back() -> None:
        first = await ops.egress.read("out", 1000, 3600)
        await ops.egress.take_back()
        found = first + await ops.egress.read("out", 1000, 3600)
        assert found == sorted(found)
        assert ops.client.llen("out") == ENTRIES - 2000

    await log.check(read_and_take_back, lent_out)


async def test_a_search_with_many_hits(log: Slowlog) -> None:
    """A page is bounded in what it reads, and in what it answers."""
    ops = log.ops

    def indexed() -> None:
        log.fill("SADD", "tel:+1")
        log.fill("SADD", "name:Ann")
        log.fill("MSET", "", "values", prefix="vcon:")

    async def search() -> None:
        page = await ops.operations.search(["tel:+1", "name:Ann"], 1000, None)
        page = await ops.operations.search(["tel:+1", "name:Ann"], 1000, page.cursor)
        assert len(page.vcon_uuids) == 1000

    await log.check(search, indexed)


async def test_a_page_among_vcons_of_one_moment(log: Slowlog) -> None:
    """What an import has given the same `created_at` is not walked over to come to a page."""
    ops = log.ops

    def imported() -> None:
        log.fill("ZADD", "vcons", "zeros", count=3 * ENTRIES)

    async def page() -> None:
        for skipped in (3 * ENTRIES - 2000, 3 * ENTRIES - 1000):
            answer = await ops.catalogue.page(None, None, 1000, f"0~{skipped}")
        assert answer.cursor == f"0~{3 * ENTRIES}"

    await log.check(page, imported)
