"""Taking vCons in: one script stores, indexes and enqueues, or nothing happens."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from core.errors import BusyError, FullError, UnavailableError
from pipeline.ingest.intake import Intake
from pipeline.redis_client import keys
from tests.integration.support.operations_scene import (
    EXPIRY,
    FOR_EVER,
    MAX_DEPTH,
    Operations,
    operations,
)
from tests.integration.support.pipeline_fixtures import a_vcon, both, configured, new_uuid


@pytest.fixture
async def ops(redis_url: str) -> AsyncIterator[Operations]:
    """An empty Redis, and two ingress lists, `in` and `second`."""
    second = configured(name="other", ingress=("second",), egress=("out2",))
    async with operations(redis_url) as opened:
        opened.configure(both(configured(), second))
        yield opened


async def test_a_new_vcon_is_stored_indexed_and_queued(ops: Operations) -> None:
    """Afterwards it is in every list named, in the sorted set and under each party's terms."""
    parties = [{"tel": "+1", "name": "Ann"}, {"mailto": "bob@example.com"}]
    vcon = a_vcon(parties=parties, created_at="2026-11-21T12:00:00+00:00")
    taken = await ops.take(vcon, "in", "second")
    assert taken.outcome == "new"
    assert [ops.list("in"), ops.list("second")] == [[taken.uuid], [taken.uuid]]
    assert ops.client.zscore("vcons", taken.uuid) == 1795262400
    for term in ("tel:+1", "name:Ann", "mailto:bob@example.com"):
        assert ops.client.smembers(term) == {taken.uuid}
    assert ops.client.json().get(keys.vcon(taken.uuid))["parties"] == parties
    assert ops.left(taken.uuid) == FOR_EVER
    assert ops.holders(taken.uuid) == {"in", "second"}


async def test_the_same_again_is_a_duplicate(ops: Operations) -> None:
    """The second time nothing is stored or queued, also if a link has changed the document."""
    vcon = a_vcon()
    await ops.take(vcon, "in")
    ops.client.json().set(keys.vcon(vcon["uuid"]), ".subject", "changed by a link")
    assert (await ops.take(vcon, "in")).outcome == "duplicate"
    assert ops.list("in") == [vcon["uuid"]]
    assert ops.client.json().get(keys.vcon(vcon["uuid"]), ".subject") == "changed by a link"


async def test_a_duplicate_goes_into_lists_not_served_yet(ops: Operations) -> None:
    """Of the lists named, those that have had it are left out."""
    vcon = a_vcon()
    await ops.take(vcon, "in")
    ops.client.expire(keys.vcon(vcon["uuid"]), EXPIRY)
    assert (await ops.take(vcon, "in", "second")).outcome == "duplicate"
    assert [ops.list("in"), ops.list("second")] == [[vcon["uuid"]], [vcon["uuid"]]]
    assert ops.left(vcon["uuid"]) == FOR_EVER


async def test_a_duplicate_without_a_new_list_changes_nothing(ops: Operations) -> None:
    """The time that a stored vCon has left goes on."""
    vcon = a_vcon()
    await ops.take(vcon, "in")
    ops.client.expire(keys.vcon(vcon["uuid"]), EXPIRY)
    await ops.take(vcon, "in")
    assert 0 < ops.left(vcon["uuid"]) <= EXPIRY


async def test_a_duplicate_may_come_while_it_is_processed(ops: Operations) -> None:
    """The same content again is no conflict at any time."""
    vcon = a_vcon()
    await ops.take(vcon, "in")
    with ops.held(vcon["uuid"]):
        assert (await ops.take(vcon, "in")).outcome == "duplicate"


async def test_what_has_expired_is_new(ops: Operations) -> None:
    """A vCon that is not here any more is taken in and queued again."""
    vcon = a_vcon()
    await ops.take(vcon, "in")
    ops.client.delete("in")
    ops.forget_time(vcon["uuid"])
    assert (await ops.take(vcon, "in")).outcome == "new"
    assert ops.list("in") == [vcon["uuid"]]


async def test_other_content_replaces(ops: Operations) -> None:
    """New content under a uuid replaces document and index, stays, and is queued."""
    vcon_uuid = await ops.ingest("in", parties=[{"tel": "+1"}])
    ops.client.delete("in")
    ops.client.expire(keys.vcon(vcon_uuid), EXPIRY)
    other = a_vcon(vcon_uuid, parties=[{"tel": "+2"}])
    assert (await ops.take(other, "in")).outcome == "replaced"
    assert ops.list("in") == [vcon_uuid]
    assert (ops.client.exists("tel:+1"), ops.client.smembers("tel:+2")) == (0, {vcon_uuid})
    assert ops.left(vcon_uuid) == FOR_EVER


async def test_replaced_content_stays(ops: Operations) -> None:
    """The time that the old content had left is not that of the new one, in a list or not."""
    vcon_uuid = await ops.ingest()
    ops.client.expire(keys.vcon(vcon_uuid), EXPIRY)
    await ops.take(a_vcon(vcon_uuid, subject="new"))
    assert ops.left(vcon_uuid) == FOR_EVER


async def test_replaced_content_counts_as_stored_nowhere(ops: Operations) -> None:
    """That a storage had the old content says nothing about the new one."""
    vcon_uuid = await ops.ingest("in")
    ops.client.hset(f"pc:about:{vcon_uuid}", "saved", 1)
    await ops.take(a_vcon(vcon_uuid, subject="new"))
    assert not ops.client.hexists(f"pc:about:{vcon_uuid}", "saved")


@pytest.mark.parametrize("known", [True, False], ids=["ingested", "written by an adapter"])
async def test_other_content_is_refused_while_a_run_has_the_vcon(
    ops: Operations, known: bool
) -> None:
    """409, and the document stays as it is."""
    vcon = a_vcon(subject="old")
    if known:
        await ops.take(vcon, "in")
    else:
        ops.client.json().set(keys.vcon(vcon["uuid"]), ".", vcon)
    with ops.held(vcon["uuid"]), pytest.raises(BusyError, match="is being processed"):
        await ops.take(vcon | {"subject": "new"}, "in")
    assert ops.client.json().get(keys.vcon(vcon["uuid"]), ".subject") == "old"


async def test_other_content_is_refused_between_two_attempts(ops: Operations) -> None:
    """The next attempt goes on where the last one failed, so it must find the same content."""
    vcon = a_vcon()
    await ops.take(vcon, "in")
    ops.client.hset("pc:attempts:in", vcon["uuid"], "1\nsome-run\n0")
    with pytest.raises(BusyError):
        await ops.take(vcon | {"subject": "new"})


async def test_other_content_is_refused_between_two_attempts_of_a_requested_run(
    ops: Operations,
) -> None:
    """The same holds for a run that was asked for."""
    vcon = a_vcon()
    await ops.take(vcon)
    await ops.intake.enqueue_run(vcon["uuid"], "r1", "main", b"{}")
    ops.client.hset("pc:attempts:run:main", f"{vcon['uuid']}|r1", "1\nr1\n0")
    with pytest.raises(BusyError):
        await ops.take(vcon | {"subject": "new"})


async def test_a_full_list_refuses_and_nothing_is_stored(ops: Operations) -> None:
    """When one of the lists is full, neither document nor index nor any list changes."""
    for _ in range(MAX_DEPTH):
        await ops.ingest("second")
    vcon = a_vcon(parties=[{"tel": "+99"}])
    with pytest.raises(UnavailableError, match=f"list second is full \\({MAX_DEPTH} vCons\\)"):
        await ops.take(vcon, "in", "second")
    assert ops.traces(vcon["uuid"]) == []
    assert ops.client.exists("tel:+99") == 0


async def test_a_duplicate_needs_no_room(ops: Operations) -> None:
    """What a full list has had already is not refused by it."""
    vcon = a_vcon()
    await ops.take(vcon, "in")
    for _ in range(MAX_DEPTH - 1):
        await ops.ingest("in")
    assert (await ops.take(vcon, "in")).outcome == "duplicate"


async def test_the_index_outlives_what_others_wish_for_it(ops: Operations) -> None:
    """vcon-server lets search sets go after a day; with a vCon of ours in them, they stay."""
    ops.client.sadd("tel:+7", "other")
    ops.client.expire("tel:+7", 5)
    await ops.ingest(parties=[{"tel": "+7"}])
    assert ops.client.ttl("tel:+7") == FOR_EVER


async def test_a_name_in_several_lines_is_one_term(ops: Operations) -> None:
    """A party's name makes no script touch another key."""
    name = "Ann\nvcons\npc:workers"
    vcon_uuid = await ops.ingest(parties=[{"name": name}])
    await ops.take(a_vcon(vcon_uuid, parties=[{"name": "Bob"}]))
    assert ops.client.exists(f"name:{name}") == 0
    assert ops.client.zscore("vcons", vcon_uuid) is not None


async def test_enqueue_says_what_is_missing(ops: Operations) -> None:
    """What is here is queued and held for ever, the others are named."""
    here, gone = await ops.ingest(), new_uuid()
    ops.client.expire(keys.vcon(here), EXPIRY)
    assert await ops.intake.enqueue([gone, here], "in") == [gone]
    assert ops.list("in") == [here]
    assert (ops.left(here), ops.holders(here)) == (FOR_EVER, {"in"})


async def test_enqueue_needs_room_for_all(ops: Operations) -> None:
    """When not all of them fit, none is queued."""
    uuids = [await ops.ingest() for _ in range(MAX_DEPTH + 1)]
    with pytest.raises(UnavailableError):
        await ops.intake.enqueue(uuids, "in")
    assert ops.list("in") == []


async def test_a_run_needs_its_vcon(ops: Operations) -> None:
    """A run is registered with its vCon held, or not at all."""
    vcon_uuid = await ops.ingest()
    assert await ops.intake.enqueue_run(vcon_uuid, "r1", "main", b"{}")
    assert not await ops.intake.enqueue_run(new_uuid(), "r2", "main", b"{}")
    assert ops.list("run:main") == [f"{vcon_uuid}|r1"]
    assert ops.holders(vcon_uuid) == {"run:main|r1"}
    assert ops.client.exists("pc:run:r2") == 0


async def test_the_runs_of_one_vcon_are_bounded(ops: Operations) -> None:
    """Scripts look at each of them; one more is refused, and taken once there is room again."""
    intake = Intake(ops.intake._connection, sorted_set="vcons", max_depth=100, max_runs=3)
    vcon_uuid = await ops.ingest()
    for number in range(3):
        assert await intake.enqueue_run(vcon_uuid, f"r{number}", "main", b"{}")
    with pytest.raises(FullError, match="3 runs of this vCon wait already"):
        await intake.enqueue_run(vcon_uuid, "r3", "main", b"{}")
    assert ops.list("run:main") == [f"{vcon_uuid}|r{number}" for number in range(3)]
    ops.client.srem(f"pc:holds:{vcon_uuid}", "run:main|r0")
    assert await intake.enqueue_run(vcon_uuid, "r3", "main", b"{}")
