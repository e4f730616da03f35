"""No command or script keeps Redis from other clients for long, however long a structure is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from pipeline.ingest.entry import entry_of
from pipeline.minutes.backlog import BacklogReader, BacklogSamples
from pipeline.minutes.counting import MinuteCounts
from pipeline.minutes.fields import MOST_FIELDS, Field
from pipeline.minutes.reading import MinuteReader
from tests.integration.redis_client.slowlog_scene import (
    ENTRIES,
    Slowlog,
    slowlog,
    uuid_at,
    uuids_at,
)
from tests.integration.support.pipeline_fixtures import a_vcon, both, configured, link, storage

REPLAY: dict[str, Any] = {"cause": None, "limit": 1000, "from_start": False}


def broken(vcon_uuid: str, name: str, options: dict[str, Any]) -> None:
    """A link that fails."""
    raise ValueError("broken")


@pytest.fixture
async def log(redis_url: str) -> AsyncIterator[Slowlog]:
    """A chain from `in` to `out`."""
    async with slowlog(redis_url) as opened:
        opened.ops.configure(configured())
        yield opened


async def test_leases_that_end_at_once(log: Slowlog) -> None:
    """300,000 uuids of one reader come back; another reads meanwhile, in the old order.

    Those that the first calls put back are known to Redis, so that it is noted that they were lent.
    """
    ops = log.ops

    def lent_out() -> None:
        log.fill("ZADD", "pc:lease:out", score=int)
        ops.client.sadd("pc:lenders", "out")
        with ops.client.pipeline(transaction=False) as known:
            for number in range(ENTRIES - 1000, ENTRIES):
                known.hset(f"pc:about:{uuid_at(number)}", mapping={"digest": "d", "index": "[]"})
            known.execute()

    async def read_and_take_back() -> None:
        first = await ops.operations.read_egress("out", 1000, 3600)
        await ops.egress.take_back()
        found = first + await ops.operations.read_egress("out", 1000, 3600)
        assert found == sorted(found)
        assert ops.client.llen("out") == ENTRIES - 2000

    await log.check(read_and_take_back, lent_out)


async def test_a_search_with_many_hits(log: Slowlog) -> None:
    """A page is bounded in what it reads, and in what it answers."""
    ops = log.ops

    def indexed() -> None:
        log.fill("SADD", "tel:+1")
        log.fill("SADD", "name:Ann")
        log.fill("MSET", prefix="vcon:", value="")

    async def search() -> None:
        page = await ops.operations.search(["tel:+1", "name:Ann"], 1000, None)
        page = await ops.operations.search(["tel:+1", "name:Ann"], 1000, page.cursor)
        assert len(page.vcon_uuids) == 1000

    await log.check(search, indexed)


async def test_a_page_among_vcons_of_one_moment(log: Slowlog) -> None:
    """What an import has given the same `created_at` is not walked over to come to a page."""
    ops = log.ops

    def imported() -> None:
        log.fill("ZADD", "vcons", score=lambda _: 0, count=2 * ENTRIES)

    async def page() -> None:
        for skipped in (2 * ENTRIES - 2000, 2 * ENTRIES - 1000):
            answer = await ops.index.page(None, None, 1000, f"0~{skipped}")
        assert answer.cursor == f"0~{2 * ENTRIES}"

    await log.check(page, imported)


async def test_many_acknowledgements_of_a_long_list(log: Slowlog) -> None:
    """Whether a uuid stands in the list once more is known without looking through the list."""
    ops = log.ops

    def forwarded() -> None:
        log.fill("RPUSH", "out")
        log.fill("SADD", "pc:unread:out")
        log.fill("ZADD", "pc:lease:out", score=int, count=1000)

    async def acknowledge() -> None:
        uuids = uuids_at(*range(1, 1001))
        assert await ops.operations.acknowledge("out", uuids) == 1000

    await log.check(acknowledge, forwarded)


TAKEN, SWEPT = 5_000, 100_000
"""Entries that are gone, and those of each list before, which a sweep reads to the end."""


async def test_a_sweep_after_another_program_took_much_out(log: Slowlog) -> None:
    """Registers and lists are read in slices, and what is gone is let go in slices."""
    ops = log.ops
    ops.configure(configured(storages=[storage()]))
    registers = {
        "out": ("SADD", "pc:unread:out", None),
        "DLQ:storage:shelf": ("HSET", "pc:dead:DLQ:storage:shelf", '{"run_id": "r"}'),
    }

    def taken_out() -> None:
        for name, (command, register, value) in registers.items():
            log.fill("RPUSH", name, count=SWEPT)
            log.fill(command, register, value=value, count=SWEPT)
            ops.client.lpop(name, TAKEN)

    async def sweep() -> None:
        await ops.sweep()
        assert ops.client.scard("pc:unread:out") == SWEPT - TAKEN
        assert ops.client.hlen("pc:dead:DLQ:storage:shelf") == SWEPT - TAKEN

    await log.check(sweep, taken_out)


async def test_a_register_that_is_needed_no_longer(log: Slowlog) -> None:
    """A chain reads the list by now: that it was forwarded to readers is forgotten in slices."""
    ops = log.ops
    ops.configure(both(configured(), configured(name="next", ingress=("out",), egress=())))

    def forwarded_to_readers() -> None:
        log.fill("SADD", "pc:unread:out")
        log.fill("HSET", "pc:again:out", value="1")

    async def sweep() -> None:
        await ops.sweep()
        assert ops.client.exists("pc:unread:out", "pc:again:out") == 0

    await log.check(sweep, forwarded_to_readers)


async def test_a_second_failure_among_many_dead_letters(log: Slowlog) -> None:
    """Whether the vCon stands in the list already is left to the sweep, which reads all of it."""
    ops = log.ops
    ops.configure(configured(links=[link(broken)], max_attempts=1))
    vcon_uuid = uuid_at(ENTRIES // 2)

    def failed_before() -> None:
        log.fill("RPUSH", "DLQ:in")
        log.fill("HSET", "pc:dead:DLQ:in", value='{"run_id": "r"}')
        ops.client.json().set(f"vcon:{vcon_uuid}", ".", {"uuid": vcon_uuid})
        ops.client.rpush("in", vcon_uuid)

    await log.check(ops.work, failed_before)


@pytest.mark.parametrize("first", [1, ENTRIES // 2, ENTRIES - 499], ids=["old", "amid", "new"])
async def test_a_replay_out_of_many_dead_letters(log: Slowlog, first: int) -> None:
    """Wherever they stand in the list; what stays, stays there, and is there once."""
    ops = log.ops
    chosen = uuids_at(*range(first, first + 500))

    def failed() -> None:
        log.fill("RPUSH", "DLQ:in")
        log.fill("HSET", "pc:dead:DLQ:in", value='{"list_name": "in"}')

    async def replay() -> None:
        assert await ops.operations.replay("in", None, vcon_uuids=chosen, **REPLAY) == 500
        assert ops.list("in") == chosen
        left = ops.list("DLQ:in")
        assert (len(left), len({*left, *chosen})) == (ENTRIES - 500, ENTRIES)

    await log.check(replay, failed)


@pytest.mark.parametrize("number", [1, ENTRIES // 2, ENTRIES], ids=["old", "amid", "new"])
async def test_deleting_a_vcon_out_of_long_lists(log: Slowlog, number: int) -> None:
    """Every copy is taken out, wherever it stands; no other entry is."""
    ops = log.ops
    vcon_uuid = uuid_at(number)

    def queued() -> None:
        log.fill("RPUSH", "in")
        ops.client.json().set(f"vcon:{vcon_uuid}", ".", {})
        ops.client.copy("in", "DLQ:in")

    async def delete() -> None:
        assert await ops.index.delete(vcon_uuid, ["in", "DLQ:in"])
        for name in ("in", "DLQ:in"):
            left = ops.list(name)
            assert (len(left), len({*left, vcon_uuid})) == (ENTRIES - 1, ENTRIES)

    await log.check(delete, queued)


async def test_cancelling_a_run_in_a_long_list(log: Slowlog) -> None:
    """It is taken out of the middle of its list."""
    ops = log.ops

    def requested() -> None:
        log.fill("RPUSH", "run:main", suffix="|r")
        run = {"run_id": "r", "chain": "main", "vcon_in": uuid_at(ENTRIES // 2)}
        ops.client.set("pc:run:r", orjson.dumps(run | {"status": "queued", "ingress_list": None}))

    async def cancel() -> None:
        assert await ops.workers.queues.cancel("r", "2026-11-21T12:00:00Z") == "queued"
        assert ops.client.llen("run:main") == ENTRIES - 1

    await log.check(cancel, requested)


async def test_the_end_of_a_run_that_many_wait_for(log: Slowlog) -> None:
    """A vCon that was queued 300,000 times: the first go back to their list, in their order."""
    ops = log.ops
    ended = uuid_at(0)

    def waiting() -> None:
        log.fill("RPUSH", f"pc:waiting:{ended}", prefix="in\n")
        ops.client.hset("pc:inflight:dead", ended, f"1\nr\nin\n{ended}")

    async def rescue() -> None:
        assert await ops.workers.queues.rescue("dead") == 1
        queued = ops.list("in")
        assert queued[:-1] == uuids_at(*range(1, len(queued)))
        assert len(queued) - 1 + ops.client.llen(f"pc:waiting:{ended}") == ENTRIES

    await log.check(rescue, waiting)


async def test_requests_of_a_window_that_is_over(log: Slowlog) -> None:
    """300,000 requests of an ingress key a minute ago are not counted, and removed in slices."""
    ops = log.ops

    async def count() -> None:
        assert await ops.redis.script("rate", "key", 2, 60_000) == 0
        assert await ops.redis.script("rate", "key", 2, 60_000) == 0
        assert 0 < await ops.redis.script("rate", "key", 2, 60_000) <= 60_000

    await log.check(count, lambda: log.fill("ZADD", "pc:rate:key", score=int))


async def test_index_entries_of_many_vcons_that_are_gone(log: Slowlog) -> None:
    """They are forgotten in slices."""
    ops = log.ops

    def expired() -> None:
        log.fill("ZADD", "vcons", score=int)
        log.fill("ZADD", "pc:expiring", score=int, count=5000)
        pipe = ops.client.pipeline(transaction=False)
        for each in uuids_at(*range(1, 5001)):
            pipe.hset(
                f"pc:about:{each}", "index", '["tel:+1", "name:Ann", "mailto:ann@example.com"]'
            )
        pipe.execute()

    async def reap() -> None:
        await ops.index.reap()
        assert ops.client.exists("pc:expiring") == 0

    await log.check(reap, expired)


async def test_a_thousand_vcons_queued_at_once(log: Slowlog) -> None:
    """As many as one request may name."""
    ops = log.ops
    ops.intake._max_depth = 2 * ENTRIES
    uuids = uuids_at(*range(1, 1001))

    def stored() -> None:
        log.fill("RPUSH", "in")
        pipe = ops.client.pipeline(transaction=False)
        for each in uuids:
            pipe.json().set(f"vcon:{each}", ".", {"uuid": each, "vcon": "0.4.0", "parties": []})
        pipe.execute()

    async def enqueue() -> None:
        assert await ops.operations.enqueue(uuids, "in") == []

    await log.check(enqueue, stored)


async def test_a_vcon_with_very_many_parties(log: Slowlog) -> None:
    """So many of its search terms are indexed, and removed again, however many it has."""
    ops = log.ops
    first, second = (entry_of(a_vcon(parties=[{"tel": f"+{n}"}]), 10**6) for n in (1, 2))
    terms = [f"tel:+1{number:010}" for number in range(100_000)]

    async def ingest_and_replace() -> None:
        entry = replace(first, index_keys=terms, warnings=[])
        assert (await ops.intake.ingest(entry, ["in"])).outcome == "new"
        assert entry.warnings
        assert ops.client.exists(*terms[:201]) == 200
        ops.client.delete("in", f"pc:holds:{first.vcon_uuid}")
        changed = replace(second, vcon_uuid=first.vcon_uuid)
        assert (await ops.intake.ingest(changed, ["in"])).outcome == "replaced"
        assert ops.client.exists(*terms[:201]) == 0

    await log.check(ingest_and_replace, lambda: None)


async def test_the_numbers_of_the_last_hour(log: Slowlog) -> None:
    """300,000 retries, workers with much in flight, many lists, and minutes that are full."""
    redis, client = log.ops.redis, log.ops.client
    lists = [f"list {number}" for number in range(1000)]
    names = [("chain", f"{number}" + "name" * 20) for number in range(2 * MOST_FIELDS)]
    samples = BacklogSamples(redis, configured(ingress=tuple(lists)))
    minutes = MinuteCounts(redis, [lambda: [(Field("link", "ok", "0.5", n), 1) for n in names]])

    def busy() -> None:
        log.fill("ZADD", "pc:later", score=int, prefix="list 1\n")
        for worker in range(20):
            client.sadd("pc:workers", f"w{worker}")
            log.fill("HSET", f"pc:inflight:w{worker}", value="7\nrun\nlist 2\nx", count=500)

    async def count_and_read() -> None:
        await samples.take()
        backlog = await BacklogReader(redis).read(lists)
        assert backlog.lists["list 1"].delayed == ENTRIES
        assert backlog.lists["list 2"].in_flight == 10_000
        await minutes.flush()
        assert any(minute.durations for minute in (await MinuteReader(redis).hour()).minutes)

    await log.check(count_and_read, busy)
