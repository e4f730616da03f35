"""The keeper: vCons live as long as a list holds them, and not for ever after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest

from pipeline.admin import retention
from pipeline.redis_client import keys
from tests.integration.support.operations_scene import (
    DEAD_EXPIRY,
    EXPIRY,
    FOR_EVER,
    RUN_EXPIRY,
    Operations,
    operations,
)
from tests.integration.support.pipeline_fixtures import (
    both,
    configured,
    link,
    new_uuid,
    storage,
)
from tests.integration.support.recording_queues import VCON_EXPIRY


def broken(vcon_uuid: str, name: str, options: dict[str, Any]) -> None:
    """A link that fails."""
    raise ValueError("broken")


CHAIN = configured(storages=[storage()])
FAILING = configured(links=[link(broken)], max_attempts=1)


@pytest.fixture
async def ops(redis_url: str) -> AsyncIterator[Operations]:
    """A chain from `in` to `out`."""
    async with operations(redis_url) as opened:
        opened.configure(CHAIN)
        yield opened


async def expiring(ops: Operations, *places: str) -> str:
    """A vCon that another program has put into lists, with a minute to live."""
    [vcon_uuid] = await ops.workers.feed(*places)
    ops.client.expire(keys.vcon(vcon_uuid), 60)
    return vcon_uuid


async def dead_letter(ops: Operations) -> str:
    """A vCon that has failed."""
    vcon_uuid = await ops.ingest("in")
    ops.configure(FAILING)
    await ops.work()
    assert ops.list("DLQ:in") == [vcon_uuid]
    return vcon_uuid


@pytest.mark.parametrize("place", ["in", "out", "DLQ:in", "DLQ:storage:shelf"])
async def test_what_stands_in_a_list_stays(ops: Operations, place: str) -> None:
    """The list holds it, also when another program pushed it or it was about to expire."""
    vcon_uuid = await expiring(ops, place)
    await ops.sweep()
    assert (ops.left(vcon_uuid), ops.holders(vcon_uuid)) == (FOR_EVER, {place})


async def test_what_waits_for_a_requested_run_stays(ops: Operations) -> None:
    """The same in a run list, whose elements name the run, too."""
    vcon_uuid = await expiring(ops, "elsewhere")
    await ops.intake.enqueue_run(vcon_uuid, "r1", "main", b"{}")
    ops.client.expire(keys.vcon(vcon_uuid), 60)
    ops.client.delete(f"pc:holds:{vcon_uuid}")
    await ops.sweep()
    assert (ops.left(vcon_uuid), ops.holders(vcon_uuid)) == (FOR_EVER, {"run:main|r1"})


async def test_a_disabled_chain_s_backlog_stays(ops: Operations) -> None:
    """What is queued for a chain that does not consume is held like any other."""
    ops.configure(configured(enabled=False))
    vcon_uuid = await expiring(ops, "in")
    await ops.sweep()
    assert ops.left(vcon_uuid) == FOR_EVER


async def test_a_long_list_is_kept_to_its_ends(
    ops: Operations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list of several chunks is gone through whole, the last chunk a full one or not."""
    monkeypatch.setattr(retention, "CHUNK", 3)
    uuids = [await expiring(ops, "in") for _ in range(6)]
    uuids += [await expiring(ops, "out") for _ in range(7)]
    await ops.sweep()
    assert {ops.left(each) for each in uuids} == {FOR_EVER}


async def test_a_vcon_kept_so_is_run_and_let_go(ops: Operations) -> None:
    """An adapter's vCon is processed like any other: its time begins when a storage has it."""
    ops.configure(configured(storages=[storage()], egress=()))
    vcon_uuid = await expiring(ops, "in")
    await ops.sweep()
    [ended] = await ops.work()
    assert (ended.status, ops.holders(vcon_uuid)) == ("done", set())
    assert 60 < ops.left(vcon_uuid) <= VCON_EXPIRY


async def test_reading_an_egress_list_by_hand_is_an_acknowledgement(ops: Operations) -> None:
    """What another program has taken out counts as stored there: its time begins."""
    ops.configure(configured())
    vcon_uuid = await ops.ingest("in")
    await ops.work()
    ops.client.lpop("out")
    await ops.sweep()
    assert (ops.holders(vcon_uuid), ops.client.exists("pc:unread:out")) == (set(), 0)
    assert 0 < ops.left(vcon_uuid) <= EXPIRY


async def test_what_is_lent_out_has_not_been_taken(ops: Operations) -> None:
    """A lease is no acknowledgement."""
    vcon_uuid = await ops.ingest("in")
    await ops.work()
    await ops.egress.read("out", 1, 60)
    await ops.sweep()
    assert (ops.left(vcon_uuid), ops.holders(vcon_uuid)) == (FOR_EVER, {"out"})


def before_each_page(ops: Operations, name: str, happens: Callable[[], object]) -> None:
    """Let something happen whenever a sweep is about to read a page of a list."""
    command = ops.redis.command

    async def read(*words: Any) -> Any:
        if words[:2] == ("LRANGE", name):
            happens()
        return await command(*words)

    ops.redis.command = read  # type: ignore[method-assign]


def before_the_release(ops: Operations, happens: Callable[[], Awaitable[object]]) -> None:
    """Let something happen when a sweep has read everything and is about to let go."""
    script = ops.redis.script

    async def called(name: str, *words: Any) -> Any:
        if name == "release":
            ops.redis.script = script  # type: ignore[method-assign]
            await happens()
        return await script(name, *words)

    ops.redis.script = called  # type: ignore[method-assign]


FILL = """
for _, uuid in ipairs(ARGV) do
  redis.call('RPUSH', 'DLQ:in', uuid)
  redis.call('HSET', 'pc:dead:DLQ:in', uuid, '{"cause": "c", "list_name": "in"}')
  redis.call('SADD', 'pc:holds:' .. uuid, 'DLQ:in')
end
"""
LOST = """
local lost = {}
for _, uuid in ipairs(ARGV) do
  local held = redis.call('SISMEMBER', 'pc:holds:' .. uuid, 'DLQ:in')
  if held + redis.call('HEXISTS', 'pc:dead:DLQ:in', uuid) < 2 then
    lost[#lost + 1] = uuid
  end
end
return lost
"""


def letters(ops: Operations, count: int) -> list[str]:
    """That many dead letters of `in`, oldest first, each with a reason and held."""
    uuids = [new_uuid() for _ in range(count)]
    ops.client.eval(FILL, 0, *uuids)
    return uuids


def lost(ops: Operations, uuids: Sequence[str]) -> set[str]:
    """Those of these dead letters that have no reason or no hold any more."""
    return set(ops.client.eval(LOST, 0, *uuids))


@pytest.mark.parametrize("count", [400, 700])
async def test_entries_that_move_while_a_sweep_reads_lose_nothing(
    ops: Operations, count: int
) -> None:
    """What is taken from the tail moves older entries past the reader; they do not count as taken.

    The sweep notices by itself what moves by more than pages overlap, and decides nothing then.
    """
    uuids = letters(ops, 25_000)
    ops.client.lpop("DLQ:in", 10)
    before_each_page(ops, "DLQ:in", lambda: ops.client.rpop("DLQ:in", count))
    await ops.sweep()
    assert lost(ops, ops.list("DLQ:in")) == set()
    assert (set(uuids[:10]) <= lost(ops, uuids)) is (count == 400)
    ops.client.flushall()


async def test_a_replay_among_many_dead_letters_while_sweeps_read(ops: Operations) -> None:
    """Each vCon is queued again or a dead letter with its reason and hold, and nothing else."""
    uuids = letters(ops, 21_000)
    chosen = uuids[9000:9300] + uuids[-600:]
    ops.client.lpop("DLQ:in", 10)
    selected: dict[str, Any] = {"vcon_uuids": chosen, "cause": None, "from_start": False}
    replayed, *_ = await asyncio.gather(
        ops.operations.replay("in", None, limit=1000, **selected), ops.sweep(), ops.sweep()
    )
    assert (replayed, ops.list("in")) == (900, chosen)
    left = ops.list("DLQ:in")
    assert (len(left), set(left)) == (21_000 - 910, set(uuids[10:]) - set(chosen))
    assert lost(ops, left) == set()
    ops.client.flushall()


async def test_a_dead_letter_that_fails_again_before_it_is_let_go(ops: Operations) -> None:
    """It is in the list, or the next sweep puts it there, with its new reason."""
    ops.configure(FAILING)
    vcon_uuid = await ops.ingest("in")
    await ops.work()
    others = letters(ops, 21_000)
    ops.client.lpop("DLQ:in")
    await ops.intake.enqueue([vcon_uuid], "in")
    before_the_release(ops, ops.work)
    for _ in range(2):
        await ops.sweep()
        assert lost(ops, [vcon_uuid, *others]) == set()
    assert ops.list("DLQ:in").count(vcon_uuid) == 1
    await ops.sweep()
    ops.client.lrem("DLQ:in", 1, vcon_uuid)
    await ops.sweep()
    assert lost(ops, [vcon_uuid, *others]) == {vcon_uuid}
    ops.client.flushall()


async def test_an_egress_entry_that_comes_back_before_it_is_let_go(ops: Operations) -> None:
    """A lease has ended, and a second run has forwarded it once more: both are in the list."""
    lent, again = [await ops.ingest("in") for _ in range(2)]
    await ops.work(2)
    ops.client.lpop("out", 2)

    async def come_back() -> None:
        ops.client.zadd("pc:lease:out", {lent: 1})
        await ops.egress.take_back()
        await ops.intake.enqueue([again], "in")
        await ops.work()
        ops.client.rpush("out", *range(5000))
        ops.client.lpush("out", *range(5000))

    before_the_release(ops, come_back)
    await ops.sweep()
    assert (ops.holders(lent), ops.holders(again)) == ({"out"}, {"out"})


async def test_a_list_between_two_chains_is_nobody_else_s(ops: Operations) -> None:
    """What the next chain has taken out is not given up: that chain holds it."""
    ops.configure(both(CHAIN, configured(name="next", ingress=("out",), egress=("end",))))
    vcon_uuid = await ops.ingest("in")
    await ops.work(2)
    assert ops.list("end") == [vcon_uuid]
    vcon_uuid = await ops.ingest("in")
    ops.configure(both(CHAIN, configured(name="next", ingress=("out",), enabled=False)))
    await ops.work()
    ops.client.lpop("out")  # as the other chain's worker does
    await ops.sweep()
    assert (ops.left(vcon_uuid), ops.holders(vcon_uuid)) == (FOR_EVER, {"out"})
    assert ops.client.exists("pc:unread:out") == 0


async def test_a_dead_letter_stays(ops: Operations) -> None:
    """Dead letters have no time to live."""
    vcon_uuid = await dead_letter(ops)
    await ops.sweep()
    assert (ops.left(vcon_uuid), ops.holders(vcon_uuid)) == (FOR_EVER, {"DLQ:in"})


async def test_a_dead_letter_taken_out_by_hand_that_is_stored(ops: Operations) -> None:
    """Its time begins, with the seconds of dead letters, and its reason and run go."""
    vcon_uuid = await dead_letter(ops)
    run = ops.workers.reason("DLQ:in", vcon_uuid)["run_id"]
    assert ops.client.ttl(keys.run(run)) == FOR_EVER
    ops.client.hset(f"pc:about:{vcon_uuid}", "saved", 1)
    ops.client.lpop("DLQ:in")
    await ops.sweep()
    assert EXPIRY < ops.left(vcon_uuid) <= DEAD_EXPIRY
    assert 0 < ops.client.ttl(keys.run(run)) <= RUN_EXPIRY
    assert ops.client.exists("pc:dead:DLQ:in") == 0


async def test_a_dead_letter_taken_out_by_hand_that_nobody_has(ops: Operations) -> None:
    """It stays for ever: no storage and no reader has it."""
    vcon_uuid = await dead_letter(ops)
    ops.client.lpop("DLQ:in")
    await ops.sweep()
    assert (ops.left(vcon_uuid), ops.holders(vcon_uuid)) == (FOR_EVER, set())


async def test_zero_keeps_for_ever(ops: Operations) -> None:
    """With an expiry of 0 nothing is let go."""
    vcon_uuid = await dead_letter(ops)
    ops.client.hset(f"pc:about:{vcon_uuid}", "saved", 1)
    ops.client.lpop("DLQ:in")
    ops.keeper._dead_expiry = 0
    await ops.sweep()
    assert ops.left(vcon_uuid) == FOR_EVER


async def test_a_foreign_dead_letter_is_let_go_when_it_is_taken_out(ops: Operations) -> None:
    """One that came without a reason is held like ours, and given up like ours."""
    vcon_uuid = await expiring(ops, "DLQ:in")
    await ops.sweep()
    ops.client.lpop("DLQ:in")
    await ops.sweep()
    assert (ops.holders(vcon_uuid), ops.client.exists("pc:dead:DLQ:in")) == (set(), 0)


async def test_a_foreign_egress_entry_is_let_go_when_it_is_taken_out(ops: Operations) -> None:
    """One that another program has forwarded is acknowledged by being taken, like ours."""
    vcon_uuid = await expiring(ops, "out")
    await ops.sweep()
    ops.client.lpop("out")
    await ops.sweep()
    assert ops.holders(vcon_uuid) == set()
    assert 60 < ops.left(vcon_uuid) <= EXPIRY


async def test_the_index_is_reaped(ops: Operations) -> None:
    """A sweep forgets what has expired."""
    vcon_uuid = await ops.ingest(parties=[{"tel": "+1"}])
    ops.forget_time(vcon_uuid)
    await ops.sweep()
    assert ops.traces(vcon_uuid) == []


async def test_an_element_without_a_document_is_passed_over(ops: Operations) -> None:
    """A uuid without a document is not held."""
    ops.client.rpush("in", nobody := new_uuid())
    await ops.sweep()
    assert ops.holders(nobody) == set()
