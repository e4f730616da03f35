"""Settling claims: egress, dead letters, checkpoints, and how long documents stay."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from redis import Redis

from pipeline.redis_client import keys
from pipeline.runs.queues import Record
from tests.integration.runs.lists_scene import JOURNAL, Lists
from tests.integration.support.pipeline_fixtures import a_vcon, new_uuid
from tests.integration.support.recording_queues import VCON_EXPIRY


async def test_finishing_forwards_and_forgets(lists: Lists, client: Redis):
    """The end of a run: egress, history and checkpoint, and no hold on the vCon is left."""
    [vcon_uuid] = lists.push("in")
    claim = await lists.claim()
    assert await lists.finish(claim, egress_lists=["out", "copy"])
    assert lists.elements("out") == lists.elements("copy") == [vcon_uuid]
    assert lists.elements(keys.HISTORY) == [JOURNAL.decode()]
    assert lists.held() == set()
    assert client.hgetall(keys.LOCKS) == {}
    assert 0 < client.ttl(keys.run(claim.run_id)) <= 600


async def test_a_run_ends_only_once(lists: Lists):
    """A second settlement does nothing: nothing is forwarded twice."""
    lists.push("in")
    claim = await lists.claim()
    assert await lists.finish(claim, egress_lists=["out"])
    assert not await lists.finish(claim, egress_lists=["out"])
    assert not await lists.fail(claim)
    assert not await lists.give_back(claim)
    assert len(lists.elements("out")) == 1
    assert len(lists.elements(keys.HISTORY)) == 1
    assert lists.elements("in") == []


async def test_a_worker_that_was_rescued_settles_nothing(lists: Lists):
    """After a rescue only the worker that took the vCon over can end its run."""
    lists.revive("two")
    lists.push("in")
    stale = await lists.claim()
    await lists.die()
    fresh = await lists.suspect(worker="two")
    assert not await lists.finish(stale, egress_lists=["out"])
    assert lists.elements("out") == []
    assert await lists.finish(fresh, worker="two", egress_lists=["out"])
    assert len(lists.elements("out")) == 1


async def test_a_claim_from_before_a_rescue_is_void_for_the_same_worker_too(lists: Lists):
    """A worker that was taken for dead and claims the vCon again cannot settle the old claim."""
    lists.push("in")
    stale = await lists.claim()
    await lists.die()
    lists.revive("one")
    fresh = await lists.suspect()
    assert not await lists.finish(stale, egress_lists=["out"])
    assert not await lists.queues.checkpoint("one", stale, Record(JOURNAL, stale.vcon_uuid))
    assert await lists.finish(fresh, egress_lists=["out"])


async def test_a_journal_is_written_only_by_who_holds_the_run(lists: Lists, client: Redis):
    """After a rescue a stale worker's journal and document change nothing."""
    [vcon_uuid] = lists.push("in")
    claim = await lists.claim()
    record = Record(b'{"by":"one"}', vcon_uuid, orjson.dumps({"uuid": vcon_uuid, "by": "one"}))
    assert await lists.queues.checkpoint("one", claim, record)
    assert client.get(keys.run(claim.run_id)) == '{"by":"one"}'
    assert client.json().get(keys.vcon(vcon_uuid))["by"] == "one"
    await lists.die()
    late = Record(b'{"by":"ghost"}', vcon_uuid, orjson.dumps({"uuid": vcon_uuid, "by": "ghost"}))
    assert not await lists.queues.checkpoint("one", claim, late)
    assert client.get(keys.run(claim.run_id)) == '{"by":"one"}'
    assert client.json().get(keys.vcon(vcon_uuid))["by"] == "one"


async def test_a_journal_that_arrives_again_later_brings_nothing_back(lists: Lists, client: Redis):
    """One that was sent twice may arrive once more after the run has gone on."""
    [vcon_uuid] = lists.push("in")
    claim = await lists.claim()

    async def arrives(number: int, written: str) -> int:
        text = orjson.dumps({"uuid": written, "number": number})
        fence = ("one", vcon_uuid, claim.token, f'{{"number":{number}}}')
        return int(await lists.redis.script("journal", *fence, written, text, 0, number))

    assert [await arrives(number, vcon_uuid) for number in (7, 7, 12, 7)] == [1] * 4
    assert client.get(keys.run(claim.run_id)) == '{"number":12}'
    assert client.json().get(keys.vcon(vcon_uuid))["number"] == 12
    assert await arrives(11, other := new_uuid())  # of another storage, overtaken on its way
    assert client.json().get(keys.vcon(other))["number"] == 11


async def test_each_write_of_a_run_has_a_higher_number(lists: Lists, client: Redis):
    """However often a run writes, what it writes later is what stays."""
    [vcon_uuid] = lists.push("in")
    claim = await lists.claim()
    for number in range(20):
        text = orjson.dumps({"uuid": vcon_uuid, "number": number})
        assert await lists.queues.checkpoint("one", claim, Record(JOURNAL, vcon_uuid, text))
        assert client.json().get(keys.vcon(vcon_uuid))["number"] == number


async def test_what_is_unwritten_is_written_with_the_settlement(lists: Lists, client: Redis):
    """The document of the record is in Redis when the id is in the egress list."""
    [vcon_uuid] = lists.push("in")
    claim = await lists.claim()
    text = orjson.dumps({"uuid": vcon_uuid, "tagged": True})
    await lists.finish(claim, record=Record(JOURNAL, vcon_uuid, text), egress_lists=["out"])
    assert client.json().get(keys.vcon(vcon_uuid))["tagged"]


async def test_dead_letters_keep_the_reason_beside_the_id(lists: Lists, client: Redis):
    """The list has the bare uuid, as other tools expect it, and the reason stands beside it."""
    [vcon_uuid] = lists.push("in")
    claim = await lists.claim()
    await lists.finish(claim, dead_letters=[("DLQ:in", '{"error":"no"}')])
    assert lists.elements("DLQ:in") == [vcon_uuid]
    assert client.hgetall(keys.reasons("DLQ:in")) == {vcon_uuid: '{"error":"no"}'}


async def test_a_storages_dead_letter_is_what_the_links_made(lists: Lists):
    """When a link has replaced the vCon, the storage's list has the new one."""
    [came_in] = lists.push("in")
    made = new_uuid()
    lists.client.json().set(keys.vcon(made), ".", a_vcon(made))
    claim = await lists.claim()
    letters = [("DLQ:storage:shelf", "{}")]
    await lists.finish(claim, record=Record(JOURNAL, made), dead_letters=letters)
    assert lists.elements("DLQ:storage:shelf") == [made] != [came_in]


async def test_an_egress_list_that_is_no_list_loses_nothing(lists: Lists, client: Redis):
    """When a settlement cannot be carried out, none of it is: the vCon is still held."""
    [vcon_uuid] = lists.push("in")
    claim = await lists.claim()
    client.set("out", "another program's")
    with pytest.raises(Exception, match=r"WRONGTYPE|no list"):
        await lists.finish(claim, egress_lists=["copy", "out"])
    assert lists.held() == {vcon_uuid}
    assert lists.elements("copy") == []


async def test_a_stored_vcon_begins_to_expire_without_holds(lists: Lists):
    """The time to live begins with the settlement, when a storage has the vCon."""
    [vcon_uuid] = lists.push("in")
    await lists.finish(await lists.claim(), saved=True)
    assert 0 < lists.ttl(vcon_uuid) <= VCON_EXPIRY


@pytest.mark.parametrize(
    "ending",
    [
        {"saved": False},
        {"saved": True, "egress_lists": ["out"]},
        {"saved": True, "dead_letters": [("DLQ:storage:shelf", "{}")]},
        {"saved": False, "dead_letters": [("DLQ:in", "{}")]},
    ],
    ids=["stored nowhere", "unread egress", "storage refused", "dead"],
)
async def test_a_vcon_that_a_list_or_run_needs_stays(lists: Lists, ending: dict[str, Any]):
    """Nothing expires that no storage has, or that an egress or dead-letter list holds."""
    [vcon_uuid] = lists.push("in")
    await lists.finish(await lists.claim(), **ending)
    assert lists.ttl(vcon_uuid) == -1


async def test_a_vcon_that_waits_in_another_list_stays(lists: Lists):
    """The end of one run starts no time to live while the vCon is queued elsewhere."""
    [vcon_uuid] = lists.push("in")
    await lists.intake.enqueue([vcon_uuid], "later")
    await lists.finish(await lists.claim(), saved=True)
    assert lists.ttl(vcon_uuid) == -1
