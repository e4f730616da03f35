"""The catalogue: vCons by time and by party, and the index that goes with the document."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import chain

import pytest

from core.errors import InvalidError
from pipeline.redis_client import keys
from tests.integration.support.operations_scene import EXPIRY, Operations, operations
from tests.integration.support.pipeline_fixtures import configured, new_uuid

NOON = 1795262400.0


@pytest.fixture
async def ops(redis_url: str) -> AsyncIterator[Operations]:
    """An empty Redis."""
    async with operations(redis_url) as opened:
        opened.configure(configured())
        yield opened


async def made(ops: Operations, *seconds: float) -> list[str]:
    """Makes vCons, each so many seconds after noon; returns their uuids."""
    return [await ops.ingest(created_at=f"2026-11-21T12:00:{each:06.3f}Z") for each in seconds]


async def pages(
    ops: Operations, limit: int, since: float | None = None, until: float | None = None
) -> list[list[str]]:
    """All pages of the catalogue."""
    found, cursor = [], None
    while True:
        page = await ops.index.page(since, until, limit, cursor)
        found.append(page.vcon_uuids)
        if (cursor := page.cursor) is None:
            return found


async def searched(ops: Operations, *terms: str, limit: int = 100) -> list[str]:
    """What a search finds, page after page; no page is longer than it may be."""
    found, cursor = [], None
    while True:
        page = await ops.index.search(terms, limit, cursor)
        assert len(page.vcon_uuids) <= limit
        found += page.vcon_uuids
        if (cursor := page.cursor) is None:
            return found


async def test_newest_first_in_pages(ops: Operations) -> None:
    """Pages follow each other without gap or repetition, the last one has no cursor."""
    first, second, third = await made(ops, 1, 2.125, 3)
    assert await pages(ops, 2) == [[third, second], [first]]


async def test_vcons_of_one_moment_are_all_found(ops: Operations) -> None:
    """Pages may end among vCons that were made at the same time."""
    uuids = await made(ops, *[7] * 5, 8)
    found = await pages(ops, 2)
    assert [len(page) for page in found] == [2, 2, 2, 0]
    assert sorted(chain.from_iterable(found)) == sorted(uuids)


async def test_between_two_moments(ops: Operations) -> None:
    """`since` and `until` count themselves."""
    uuids = await made(ops, 1, 2, 3, 4)
    assert await pages(ops, 9, NOON + 2, NOON + 3) == [[uuids[2], uuids[1]]]


async def test_a_page_is_not_shifted_by_what_comes_and_goes(ops: Operations) -> None:
    """The next page begins after the last one, though newer vCons came and others went."""
    oldest, older, newer, newest = await made(ops, 1, 2, 3, 4)
    page = await ops.index.page(None, None, 2, None)
    assert page.vcon_uuids == [newest, newer]
    await made(ops, 5, 6)
    await ops.index.delete(newest, ["in"])
    page = await ops.index.page(None, None, 2, page.cursor)
    assert page.vcon_uuids == [older, oldest]


async def test_members_as_other_writers_have_them(ops: Operations) -> None:
    """A member written as `vcon:{uuid}` is that uuid, and stands in a page once."""
    [ours] = await made(ops, 1)
    theirs = new_uuid()
    ops.client.json().set(keys.vcon(theirs), ".", {})
    ops.client.zadd("vcons", {f"vcon:{theirs}": NOON, f"vcon:{ours}": NOON + 1})
    assert await pages(ops, 9) == [[ours, theirs]]


async def test_only_what_is_here_is_listed_and_found(ops: Operations) -> None:
    """An index entry without its document is passed over."""
    here, gone = [await ops.ingest(parties=[{"tel": "+1"}]) for _ in range(2)]
    ops.forget_time(gone)
    assert await pages(ops, 9) == [[here]]
    assert await searched(ops, "tel:+1") == [here]


@pytest.mark.parametrize("cursor", ["x", "1", "1~", "~1", "1~-1", "nan~0", "1~0~0", "٣~0"])
async def test_a_cursor_of_ones_own(ops: Operations, cursor: str) -> None:
    """A cursor that no page gave is a mistake of the request."""
    with pytest.raises(InvalidError, match="cursor"):
        await ops.index.page(None, None, 1, cursor)


async def test_every_term_must_hold(ops: Operations) -> None:
    """Two terms find the vCons for which both hold, be it of different parties."""
    both = await ops.ingest(parties=[{"tel": "+1"}, {"name": "Ann"}])
    await ops.ingest(parties=[{"tel": "+1", "name": "Bob"}])
    await ops.ingest(parties=[{"tel": "+2", "name": "Ann"}])
    assert await searched(ops, "tel:+1", "name:Ann") == [both]
    assert await searched(ops, "tel:+1", "mailto:nobody") == []


@pytest.mark.parametrize("limit", [1, 7, 500, 3000])
async def test_search_results_in_pages(ops: Operations, limit: int) -> None:
    """Each vCon is told once, however pages and what one script call looks at meet."""
    uuids = [new_uuid() for _ in range(60 if limit < 7 else 1700)]
    ops.client.sadd("tel:+1", *uuids)
    ops.client.sadd("name:Ann", *uuids, *(new_uuid() for _ in range(2000)))
    ops.client.mset({keys.vcon(each): "" for each in uuids[::2]})
    found = await searched(ops, "tel:+1", "name:Ann", limit=limit)
    assert sorted(found) == sorted(uuids[::2])


async def test_what_comes_while_one_pages_hides_nothing(ops: Operations) -> None:
    """The term that was the smallest when the search began is gone through to its end."""
    uuids = [new_uuid() for _ in range(1000)]
    ops.client.mset({keys.vcon(each): "" for each in uuids})
    ops.client.sadd("tel:+1", *uuids)
    ops.client.sadd("name:Ann", *uuids, *(new_uuid() for _ in range(5)))
    terms = ["name:Ann", "tel:+1"]
    found, cursor = set(), None
    while (page := await ops.index.search(terms, 300, cursor)).cursor:
        found.update(page.vcon_uuids)
        cursor = page.cursor
        ops.client.sadd("tel:+1", *(new_uuid() for _ in range(200)))
    assert found | set(page.vcon_uuids) == set(uuids)


@pytest.mark.parametrize(
    "cursor", ["x", "0", "tel~~", "tel~x~", "name~0~", "tel~" + "9" * 20 + "~"]
)
async def test_a_search_cursor_of_ones_own(ops: Operations, cursor: str) -> None:
    """A cursor that no page of this search gave is a mistake of the request."""
    with pytest.raises(InvalidError, match="cursor"):
        await ops.index.search(["tel:+1"], 1, cursor)


async def test_the_index_goes_with_the_document(ops: Operations) -> None:
    """Once a vCon that was let go has expired, nothing knows of it any more."""
    vcon_uuid = await ops.ingest(parties=[{"tel": "+1"}, {"name": "a\nb"}])
    ops.client.zadd("pc:expiring", {vcon_uuid: 1})
    ops.forget_time(vcon_uuid)
    await ops.index.reap()
    assert ops.traces(vcon_uuid) == []


async def test_the_index_stays_with_the_document(ops: Operations) -> None:
    """A vCon whose time has been prolonged meanwhile is looked at again when that is over."""
    vcon_uuid = await ops.ingest(parties=[{"tel": "+1"}])
    ops.client.zadd("pc:expiring", {vcon_uuid: 1})
    ops.client.expire(keys.vcon(vcon_uuid), EXPIRY)
    await ops.index.reap()
    assert await searched(ops, "tel:+1") == [vcon_uuid]
    now = ops.client.time()[0]
    assert ops.client.zscore("pc:expiring", vcon_uuid) == pytest.approx(now + EXPIRY, abs=5)


async def test_a_vcon_that_stays_after_all_is_not_looked_at_again(ops: Operations) -> None:
    """One that a list needs again no longer expires."""
    vcon_uuid = await ops.ingest()
    ops.client.zadd("pc:expiring", {vcon_uuid: 1})
    await ops.index.reap()
    assert ops.client.zscore("pc:expiring", vcon_uuid) is None
    assert await pages(ops, 9) == [[vcon_uuid]]


async def test_a_vcon_that_others_let_go_is_forgotten_too(ops: Operations) -> None:
    """The catalogue itself is gone through, so that no entry stays for ever."""
    vcon_uuid, theirs = await ops.ingest(parties=[{"tel": "+1"}]), new_uuid()
    ops.client.zadd("vcons", {f"vcon:{theirs}": 1})
    ops.forget_time(vcon_uuid)
    await ops.index.reap()
    assert ops.traces(vcon_uuid) + ops.traces(theirs) == []


async def test_a_time_that_a_plugin_has_set_is_watched(ops: Operations) -> None:
    """When a link lets a vCon go, its index goes when the time is over."""
    vcon_uuid = await ops.ingest()
    ops.client.expire(keys.vcon(vcon_uuid), 50)
    await ops.index.reap()
    assert ops.client.zscore("pc:expiring", vcon_uuid) is not None
