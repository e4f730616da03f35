"""How long documents stay, and what a Redis without memory loses: nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import orjson
import pytest
from redis import Redis

from core.errors import UnavailableError
from pipeline.ingest.entry import Entry
from pipeline.redis_client import keys
from pipeline.runs.queues import Record
from tests.integration.runs.lists_scene import JOURNAL, Lists
from tests.integration.support.pipeline_fixtures import a_vcon, new_uuid
from tests.integration.support.recording_queues import VCON_EXPIRY


@contextmanager
def no_memory(client: Redis) -> Iterator[None]:
    """Redis refuses commands that need more memory."""
    client.config_set("maxmemory", 1)
    try:
        yield
    finally:
        client.config_set("maxmemory", 0)


async def test_a_forwarded_vcon_stays_though_a_link_has_set_an_expiry(lists: Lists, client: Redis):
    """The time that a link gives a vCon begins when the reader has it."""
    [vcon_uuid] = lists.push("in")
    claim = await lists.claim()
    client.expire(keys.vcon(vcon_uuid), 60)
    await lists.finish(claim, saved=True, egress_lists=["out"])
    assert lists.ttl(vcon_uuid) == -1
    client.zadd("pc:lease:out", {vcon_uuid: 1})
    client.lpop("out")
    assert await lists.queues._connection.script("ack_egress", "out", VCON_EXPIRY, vcon_uuid) == 1
    assert 0 < lists.ttl(vcon_uuid) <= 60


@pytest.mark.parametrize("again", ["give_back", "fail"])
async def test_a_vcon_that_is_queued_again_stays_though_a_link_has_set_an_expiry(
    lists: Lists, client: Redis, again: str
):
    """It may wait for longer than that."""
    [vcon_uuid] = lists.push("in")
    claim = await lists.claim()
    client.expire(keys.vcon(vcon_uuid), 60)
    await (lists.give_back(claim) if again == "give_back" else lists.fail(claim, delay=9e6))
    assert lists.ttl(vcon_uuid) == -1


async def test_a_link_may_let_go_of_a_vcon_that_no_storage_has(lists: Lists, client: Redis):
    """The run is over, and no list and no run needs the vCon."""
    [vcon_uuid] = lists.push("in")
    claim = await lists.claim()
    client.expire(keys.vcon(vcon_uuid), 60)
    await lists.finish(claim)
    assert 0 < lists.ttl(vcon_uuid) <= 60


async def test_what_an_earlier_run_has_stored_goes_after_a_later_one_too(lists: Lists):
    """A run that stores nothing, such as one that is halted, does not keep it for ever."""
    [vcon_uuid] = lists.push("in")
    await lists.finish(await lists.claim(), saved=True)
    await lists.intake.enqueue([vcon_uuid], "in")
    assert lists.ttl(vcon_uuid) == -1
    await lists.finish(await lists.claim())
    assert 0 < lists.ttl(vcon_uuid) <= VCON_EXPIRY


async def test_what_came_in_stays_when_only_what_went_out_is_stored(lists: Lists, client: Redis):
    """A link may continue with another vCon: a storage has that one, and not the first."""
    [came_in] = lists.push("in")
    went_out = new_uuid()
    client.json().set(keys.vcon(went_out), ".", a_vcon(went_out))
    await lists.finish(await lists.claim(), record=Record(JOURNAL, went_out), saved=True)
    assert lists.ttl(came_in) == -1
    assert lists.ttl(went_out) > 0


async def test_a_vcon_that_another_run_works_on_does_not_begin_to_expire(
    lists: Lists, client: Redis
):
    """Also if other runs end meanwhile."""
    [other] = lists.push("in")
    client.hset(keys.LOCKS, other, "two")
    [vcon_uuid] = lists.push("in")
    claim = await lists.claim()
    assert claim.vcon_uuid == vcon_uuid  # the other one waits
    await lists.finish(claim, record=Record(JOURNAL, other), saved=True)
    assert lists.ttl(other) == -1


async def test_an_adapters_vcon_that_failed_is_needed_by_its_list(lists: Lists):
    """It has no hold from its queueing; the run of another chain must not let it expire."""
    [vcon_uuid] = lists.push("in")
    await lists.fail(await lists.claim(), delay=9e6)
    await lists.intake.enqueue([vcon_uuid], "other")
    await lists.finish(await lists.claim("other"), saved=True)
    assert lists.ttl(vcon_uuid) == -1


async def test_an_adapters_vcon_that_waits_is_needed_by_its_list(lists: Lists, client: Redis):
    """So is one whose turn has not come because another list has it just now."""
    [vcon_uuid] = lists.push("in")
    client.rpush("other", vcon_uuid)
    claim = await lists.claim("in", "other")
    await lists.finish(claim, saved=True)
    assert lists.ttl(vcon_uuid) == -1
    await lists.finish(await lists.claim("other"), saved=True)
    assert lists.ttl(vcon_uuid) > 0


async def test_what_was_saved_by_request_may_go(lists: Lists):
    """Once no list needs it."""
    [vcon_uuid] = lists.push("in")
    claim = await lists.claim()
    await lists.queues.note_saved(vcon_uuid, "shelf")
    assert lists.ttl(vcon_uuid) == -1
    await lists.finish(claim)
    assert lists.ttl(vcon_uuid) > 0
    await lists.intake.enqueue([vcon_uuid], "in")
    await lists.queues.note_saved(vcon_uuid, "shelf")
    assert lists.ttl(vcon_uuid) == -1


async def test_without_memory_what_runs_is_settled(lists: Lists, client: Redis):
    """With the document as the links left it: only what is settled can ever expire."""
    [vcon_uuid] = lists.push("in")
    claim = await lists.claim()
    with no_memory(client):
        document = orjson.dumps(a_vcon(vcon_uuid, subject="done"))
        record = Record(JOURNAL, vcon_uuid, document)
        assert await lists.finish(claim, record=record, saved=True, egress_lists=["out"])
    assert lists.elements("out") == [vcon_uuid]
    assert lists.held() == set()
    assert client.json().get(keys.vcon(vcon_uuid), "$.subject") == ["done"]


async def test_without_memory_a_dead_workers_vcons_are_rescued(lists: Lists, client: Redis):
    """Finishing work is how memory becomes free."""
    [vcon_uuid] = lists.push("in")
    await lists.claim()
    lists.revive("two")
    with no_memory(client):
        await lists.die()
        claim = await lists.suspect("two")
        assert await lists.fail(claim, delay=9e6, worker="two")
    assert client.zrange(keys.LATER, 0, -1) == [f"in\n{vcon_uuid}"]


async def test_without_memory_nothing_comes_in_half(lists: Lists, client: Redis):
    """The caller is told to try again, and finds that nothing has happened."""
    vcon_uuid = new_uuid()
    entry = Entry(vcon_uuid, orjson.dumps(a_vcon(vcon_uuid)), 1.0, "digest", ["tel:1"])
    [waiting] = lists.push("here")
    before = set(client.keys())
    with no_memory(client):
        with pytest.raises(UnavailableError, match="takes no commands"):
            await lists.intake.ingest(entry, ["in"])
        with pytest.raises(UnavailableError, match="takes no commands"):
            await lists.intake.enqueue([waiting], "in")
        with pytest.raises(UnavailableError, match="takes no commands"):
            await lists.intake.enqueue_run(waiting, new_uuid(), "main", b"{}")
    assert set(client.keys()) == before


async def test_a_vcon_that_waited_for_its_other_run_is_held_again(lists: Lists, client: Redis):
    """It does not expire before the second run, though the first has ended and is stored."""
    [vcon_uuid] = lists.push("in")
    claim = await lists.claim()
    client.rpush("in", vcon_uuid)
    assert not (await lists.claims()).claims  # it waits now
    await lists.finish(claim, saved=True)
    assert lists.elements("in") == [vcon_uuid]
    assert client.smembers(keys.holds(vcon_uuid)) == {"in"}
    assert lists.ttl(vcon_uuid) == -1
    await lists.finish(await lists.claim(), saved=True)
    assert not client.exists(keys.holds(vcon_uuid))
    assert 0 < lists.ttl(vcon_uuid) <= VCON_EXPIRY
