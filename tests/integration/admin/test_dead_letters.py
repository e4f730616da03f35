"""Dead letters: why they are there, and which of them come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest

from core.errors import InvalidError
from pipeline.admin import dead_letters
from pipeline.redis_client import keys
from schemas.dead_letter import DeadLetter
from tests.integration.support.dead_letters_scene import Plugins, failed, replay
from tests.integration.support.operations_scene import Operations, operations
from tests.integration.support.pipeline_fixtures import new_uuid


@pytest.fixture
def plugins() -> Plugins:
    """Plugins that do not fail yet."""
    return Plugins()


@pytest.fixture
async def ops(redis_url: str, plugins: Plugins) -> AsyncIterator[Operations]:
    """An empty Redis, and the chain of the plugins."""
    async with operations(redis_url) as opened:
        opened.configure(plugins.configuration())
        yield opened


async def test_an_entry_says_why_it_is_there(ops: Operations, plugins: Plugins) -> None:
    """Error, step, attempts, chain, list, run, worker and time are kept beside the uuid."""
    [vcon_uuid] = await failed(ops, plugins, "second")
    page = await ops.operations.dead_letters("in", None, 10, None)
    [letter] = page.entries
    assert letter.at is not None
    assert letter.run_id == orjson.loads(ops.client.lindex(keys.HISTORY, -1))["run_id"]
    assert letter.model_dump(exclude={"run_id", "at"}) == {
        "vcon_uuid": vcon_uuid,
        "error": "OSError: second is down",
        "cause": "link second: OSError",
        "step": "second",
        "kind": "link",
        "attempts": 1,
        "chain": "main",
        "list_name": "in",
        "worker": "one",
        "beside": [],
    }


async def test_pages_and_causes(ops: Operations, plugins: Plugins) -> None:
    """Oldest first in pages; each page counts every cause in the list, most frequent first."""
    uuids = await failed(ops, plugins, "second", count=2) + await failed(ops, plugins, "first")
    page = await ops.operations.dead_letters("in", None, 2, None)
    assert [entry.vcon_uuid for entry in page.entries] == uuids[:2]
    assert list(page.causes.items()) == [("link second: OSError", 2), ("link first: OSError", 1)]
    assert page.total == 3
    page = await ops.operations.dead_letters("in", None, 2, page.cursor)
    assert ([entry.vcon_uuid for entry in page.entries], page.cursor) == (uuids[2:], None)


async def test_entries_of_other_programs(ops: Operations) -> None:
    """A bare uuid, as vcon-server leaves it, is listed and counted as unknown."""
    ops.client.rpush("DLQ:in", theirs := new_uuid())
    page = await ops.operations.dead_letters("in", None, 10, None)
    assert (page.entries, page.causes) == ([DeadLetter(vcon_uuid=theirs)], {"unknown": 1})


async def test_many_causes_are_counted_in_chunks(
    ops: Operations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every reason is counted once, however many there are."""
    monkeypatch.setattr(dead_letters, "PAGE", 7)
    for number in range(700):
        ops.client.rpush("DLQ:in", number)
        ops.client.hset("pc:dead:DLQ:in", str(number), f'{{"cause": "{number % 2}"}}')
    page = await ops.operations.dead_letters("in", None, 1, None)
    assert page.causes == {"0": 350, "1": 350}


@pytest.mark.parametrize("cursor", ["x", "-1", "1.0", "9" * 30, "²"])
async def test_a_cursor_of_ones_own(ops: Operations, cursor: str) -> None:
    """A cursor that no page gave is a mistake of the request."""
    with pytest.raises(InvalidError, match="cursor"):
        await ops.operations.dead_letters("in", None, 10, cursor)


async def test_only_these_vcons(ops: Operations, plugins: Plugins) -> None:
    """Uuids that are named in any spelling are replayed, others stay, unknown ones are no error."""
    one, two, three = await failed(ops, plugins, "second", count=3)
    assert await replay(ops, vcon_uuids=[two.upper(), new_uuid(), f"urn:uuid:{two}"]) == 1
    assert (ops.list("DLQ:in"), ops.list("in")) == ([one, three], [two])
    assert await replay(ops, vcon_uuids=[three, one], limit=1) == 1
    assert (ops.list("DLQ:in"), ops.list("in")) == ([one], [two, three])


async def test_only_this_cause(ops: Operations, plugins: Plugins) -> None:
    """A cause chooses; together with uuids both must hold."""
    [one] = await failed(ops, plugins, "first")
    [two] = await failed(ops, plugins, "second")
    assert await replay(ops, cause="link first: OSError", vcon_uuids=[two]) == 0
    assert await replay(ops, cause="link second: OSError") == 1
    assert (ops.list("DLQ:in"), ops.list("in")) == ([one], [two])


async def test_at_most_so_many(
    ops: Operations, plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit takes the oldest, over several chunks; what has been taken shifts nothing."""
    monkeypatch.setattr(dead_letters, "PAGE", 2)
    uuids = [*await failed(ops, plugins, "second", count=5)]
    assert await replay(ops, limit=3) == 3
    assert (ops.list("in"), ops.list("DLQ:in")) == (uuids[:3], uuids[3:])
    assert await replay(ops) == 2
    assert ops.list("in") == uuids


async def test_a_chosen_cause_is_found_behind_others(
    ops: Operations, plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit counts what is replayed, not what is looked at."""
    monkeypatch.setattr(dead_letters, "PAGE", 2)
    await failed(ops, plugins, "first", count=3)
    [last] = await failed(ops, plugins, "second")
    assert await replay(ops, cause="link second: OSError", limit=1) == 1
    assert ops.list("in") == [last]


async def test_what_is_being_processed_stays(ops: Operations, plugins: Plugins) -> None:
    """While a run has the vCon, or another of that list is between attempts, it is left alone."""
    running, repeating = await failed(ops, plugins, "second", count=2)
    ops.client.hset("pc:attempts:in", repeating, "1\nother-run\n0")
    with ops.held(running):
        assert await replay(ops) == 0
        assert await replay(ops, vcon_uuids=[running, repeating]) == 0
    assert ops.list("DLQ:in") == [running, repeating]
    assert ops.client.hget("pc:attempts:in", repeating) == "1\nother-run\n0"


async def test_what_no_chain_reads_stays(ops: Operations, plugins: Plugins) -> None:
    """Without an enabled chain on the list, an entry stays where it is."""
    [vcon_uuid] = await failed(ops, plugins, "second")
    ops.configure(plugins.configuration(enabled=False))
    assert await replay(ops) == 0
    assert ops.list("DLQ:in") == [vcon_uuid]


async def test_each_vcon_is_in_one_place_at_any_time(ops: Operations, plugins: Plugins) -> None:
    """Two replays at once queue each vCon once and count it once."""
    uuids = await failed(ops, plugins, "second", count=4)
    counts = await asyncio.gather(replay(ops), replay(ops), replay(ops, limit=1))
    assert sum(counts) == 4
    assert sorted(ops.list("in")) == sorted(uuids)
    assert ops.list("DLQ:in") == []
