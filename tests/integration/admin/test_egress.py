"""Reading egress lists: lent out, acknowledged, or given again."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pipeline.live_config import Configuration
from pipeline.redis_client import keys
from tests.integration.support.operations_scene import EXPIRY, FOR_EVER, Operations, operations
from tests.integration.support.pipeline_fixtures import both, configured

OVER = 0  # seconds: a lease that ends as it begins


@pytest.fixture
async def ops(redis_url: str) -> AsyncIterator[Operations]:
    """A chain without links from `in` to `out`."""
    async with operations(redis_url) as opened:
        opened.configure(configured())
        yield opened


async def forwarded(ops: Operations, count: int = 1) -> list[str]:
    """Lets a worker put vCons into `out`; they are in this order."""
    uuids = []
    for _ in range(count):
        uuids.append(await ops.ingest("in"))
        await ops.work()
    assert ops.list("out") == uuids
    return uuids


async def test_the_oldest_are_lent_first(ops: Operations) -> None:
    """As many as asked for, in order, and none of them twice."""
    uuids = await forwarded(ops, 3)
    assert await ops.egress.read("out", 2, 60) == uuids[:2]
    assert await ops.egress.read("out", 2, 60) == uuids[2:]
    assert await ops.egress.read("out", 2, 60) == []


async def test_what_is_not_acknowledged_comes_back(ops: Operations) -> None:
    """After the lease they are lent again, before the others and in their order."""
    uuids = await forwarded(ops, 6)
    await ops.egress.read("out", 5, OVER)
    assert await ops.egress.read("out", 10, 60) == uuids


async def test_what_has_come_back_is_there_once(ops: Operations) -> None:
    """Looking again and again does not bring it back again and again."""
    uuids = await forwarded(ops, 2)
    await ops.egress.read("out", 2, OVER)
    for _ in range(3):
        await ops.egress.take_back()
    assert ops.list("out") == uuids


async def test_what_is_acknowledged_does_not_come_back(ops: Operations) -> None:
    """Acknowledging says how many were lent; a second time, none."""
    one, other = await forwarded(ops, 2)
    await ops.egress.read("out", 2, OVER)
    assert await ops.egress.acknowledge("out", [one]) == 1
    assert await ops.egress.acknowledge("out", [one]) == 0
    assert await ops.egress.read("out", 10, 60) == [other]


async def test_late_but_not_too_late(ops: Operations) -> None:
    """An acknowledgement after the lease counts until another reader has the uuid."""
    [vcon_uuid] = await forwarded(ops)
    await ops.egress.read("out", 1, OVER)
    assert await ops.egress.acknowledge("out", [vcon_uuid]) == 1
    assert await ops.egress.read("out", 1, 60) == []


async def test_only_what_was_lent_can_be_acknowledged(ops: Operations) -> None:
    """A uuid that still waits in the list is not taken out by an acknowledgement."""
    [vcon_uuid] = await forwarded(ops)
    assert await ops.egress.acknowledge("out", [vcon_uuid, "unknown"]) == 0
    assert (ops.list("out"), ops.holders(vcon_uuid)) == ([vcon_uuid], {"out"})


async def test_an_unread_vcon_stays(ops: Operations) -> None:
    """Neither waiting nor lent out does its time run."""
    [vcon_uuid] = await forwarded(ops)
    assert ops.left(vcon_uuid) == FOR_EVER
    await ops.egress.read("out", 1, 60)
    await ops.sweep()
    assert ops.left(vcon_uuid) == FOR_EVER


async def test_an_acknowledged_vcon_goes(ops: Operations) -> None:
    """Its time begins with the acknowledgement, also when no storage has it."""
    [vcon_uuid] = await forwarded(ops)
    await ops.egress.read("out", 1, 60)
    await ops.egress.acknowledge("out", [vcon_uuid])
    assert 0 < ops.left(vcon_uuid) <= EXPIRY
    assert ops.client.zscore("pc:expiring", vcon_uuid) is not None
    assert ops.client.hget(f"pc:about:{vcon_uuid}", "saved") == "1"


async def test_an_acknowledged_vcon_that_is_needed_stays(ops: Operations) -> None:
    """As long as another list holds it, or a run has it, its time does not begin."""
    queued, running = await forwarded(ops, 2)
    await ops.egress.read("out", 2, 60)
    await ops.intake.enqueue([queued], "in")
    with ops.held(running):
        await ops.egress.acknowledge("out", [queued, running])
    assert [ops.left(queued), ops.left(running)] == [FOR_EVER, FOR_EVER]


async def test_a_vcon_that_was_forwarded_twice_stays_until_it_is_read_twice(
    ops: Operations,
) -> None:
    """Acknowledging the first of two entries leaves the second one held."""
    [vcon_uuid] = await forwarded(ops)
    await ops.intake.enqueue([vcon_uuid], "in")
    await ops.work()
    assert ops.list("out") == [vcon_uuid] * 2
    await ops.egress.read("out", 1, 60)
    assert await ops.egress.acknowledge("out", [vcon_uuid]) == 1
    assert (ops.left(vcon_uuid), ops.holders(vcon_uuid)) == (FOR_EVER, {"out"})
    await ops.egress.read("out", 1, 60)
    await ops.egress.acknowledge("out", [vcon_uuid])
    assert (ops.left(vcon_uuid) > 0, ops.holders(vcon_uuid)) == (True, set())


async def test_readers_that_take_from_the_list_get_back_what_others_let_lie(
    ops: Operations,
) -> None:
    """The sweep returns what was not acknowledged, also when no reader takes a lease any more."""
    [vcon_uuid] = await forwarded(ops)
    await ops.egress.read("out", 1, OVER)
    await ops.sweep()
    assert (ops.list("out"), ops.holders(vcon_uuid)) == ([vcon_uuid], {"out"})


@pytest.mark.parametrize(
    "later",
    [
        both(configured(), configured(name="next", ingress=("out",), egress=(), enabled=False)),
        configured(egress=()),
    ],
    ids=["a chain reads it", "nobody knows it"],
)
async def test_what_is_lent_out_survives_a_new_configuration(
    ops: Operations, later: Configuration
) -> None:
    """A uuid of a list that is no egress list any more returns to it."""
    [vcon_uuid] = await forwarded(ops)
    await ops.egress.read("out", 1, OVER)
    ops.configure(later)
    await ops.sweep()
    assert (ops.list("out"), ops.holders(vcon_uuid)) == ([vcon_uuid], {"out"})
    assert ops.left(vcon_uuid) == FOR_EVER


async def test_no_list_is_looked_at_for_ever(ops: Operations) -> None:
    """Once nothing of it is lent out, its loans are not looked for any more."""
    [vcon_uuid] = await forwarded(ops)
    await ops.egress.read("out", 1, 60)
    await ops.sweep()
    assert ops.client.smembers(keys.LENDERS) == {"out"}
    await ops.egress.acknowledge("out", [vcon_uuid])
    await ops.sweep()
    assert ops.client.exists(keys.LENDERS) == 0


async def test_acknowledging_what_is_gone_leaves_no_trace(ops: Operations) -> None:
    """A vCon that was deleted meanwhile is not remembered."""
    [vcon_uuid] = await forwarded(ops)
    await ops.egress.read("out", 1, 60)
    ops.forget_time(vcon_uuid)
    ops.client.delete(f"pc:about:{vcon_uuid}", "vcons", "tel:+15550100", "name:Ann")
    await ops.egress.acknowledge("out", [vcon_uuid])
    assert ops.traces(vcon_uuid) == []
