"""A Redis with older data: what has ended since is not run again, and what has not stays."""

from __future__ import annotations

from redis import Redis

from core.db.runs import RunHistory
from pipeline.redis_client import keys
from tests.integration.db.ingress_rows import execute
from tests.integration.recovery.recovery_scene import RecoveryScene

RUN = "019aa000-0000-7000-8000-000000000001"


def older(client: Redis) -> None:
    """As if the data were from before the last look."""
    client.set("pc:tokens", 1)


async def test_lists(recovering: RecoveryScene) -> None:
    """Out of any depth, in the order of the others; the document may expire."""
    await recovering.recover()
    entries = [await recovering.accept(["in"]) for _ in range(9)]
    for entry in entries[::2]:
        recovering.release(entry, "in")
    older(recovering.client)
    await recovering.recover()
    assert recovering.elements("in") == [entry.vcon_uuid for entry in entries[1::2]]
    gone, stays = entries[0].vcon_uuid, entries[1].vcon_uuid
    assert not recovering.client.exists(keys.holds(gone))
    assert not recovering.refs(gone, "in")
    assert recovering.client.ttl(keys.vcon(gone)) > 0
    assert recovering.client.ttl(keys.vcon(stays)) == -1
    assert recovering.refs(stays, "in")


async def test_ends_that_wait_for_postgres_count(recovering: RecoveryScene) -> None:
    """The run ended while Postgres was away; its row is open until the history is written."""
    await recovering.recover()
    entry = await recovering.accept(["in"])
    recovering.client.delete("in", keys.holds(entry.vcon_uuid), keys.about(entry.vcon_uuid))
    recovering.client.rpush(keys.HISTORY, f"{entry.vcon_uuid} in")
    older(recovering.client)
    await recovering.recover()
    assert recovering.elements("in") == []


async def test_more_than_a_page(recovering: RecoveryScene) -> None:
    """Elements move forward while others are taken out; none is passed over."""
    await recovering.recover()
    entries = [await recovering.accept(["in"]) for _ in range(700)]
    execute(
        recovering.database,
        "UPDATE custody SET open = '{}', released_at = now(), document = NULL WHERE number % 3 > 0",
    )
    older(recovering.client)
    await recovering.recover()
    left = recovering.elements("in")
    assert 230 <= len(left) <= 235
    assert left == [each.vcon_uuid for each in entries if each.vcon_uuid in set(left)]


async def test_in_flight_waiting_delayed_and_suspects(recovering: RecoveryScene) -> None:
    """Wherever an element is; a lock goes with its run, and others no longer wait for it."""
    await recovering.recover()
    client = recovering.client
    held, delayed, suspect = [await recovering.accept(["in"]) for _ in range(3)]
    waits = await recovering.accept(["in"])
    client.delete("in")
    client.sadd(keys.WORKERS, "w")
    for each in (held, waits):
        value = f"1\n{RUN}\nin\n{each.vcon_uuid}"
        client.hset(keys.inflight("w"), each.vcon_uuid, value)
        client.hset(keys.LOCKS, each.vcon_uuid, "w")
        client.rpush(keys.waiting(each.vcon_uuid), f"two\n{each.vcon_uuid}")
    client.zadd(keys.LATER, {f"in\n{delayed.vcon_uuid}": 1})
    client.rpush(keys.suspects("in"), suspect.vcon_uuid)
    for each in (held, delayed, suspect):
        recovering.release(each, "in")
    older(client)
    await recovering.recover()
    assert client.hkeys(keys.inflight("w")) == client.hkeys(keys.LOCKS) == [waits.vcon_uuid]
    assert recovering.elements("two") == [held.vcon_uuid]
    assert client.zcard(keys.LATER) == client.llen(keys.suspects("in")) == 0
    assert recovering.elements("in") == []


async def test_dead_letters_and_egress(recovering: RecoveryScene) -> None:
    """Replayed dead letters, and what was acknowledged, also if it was lent out."""
    await recovering.recover()
    client = recovering.client
    uuids = {}
    for place in ("DLQ:in", "out"):
        for number in range(2):
            uuid = uuids[place, number] = f"{len(uuids):08d}{RUN[8:]}"
            reason = {"reason": {"list_name": "in", "error": "x"}} if place == "DLQ:in" else None
            recovering.commit(place, vcon_uuid=uuid, state=reason, run_id=RUN)
    client.flushall()
    await recovering.recover()
    client.lrem("out", 1, uuids["out", 0])
    client.zadd(keys.lease("out"), {uuids["out", 0]: 10**14})
    execute(
        recovering.database,
        "UPDATE custody SET open = '{}', released_at = now(), document = NULL"
        f" WHERE vcon_uuid IN ('{uuids['DLQ:in', 0]}', '{uuids['out', 0]}')",
    )
    older(client)
    await recovering.recover()
    assert recovering.elements("DLQ:in") == [uuids["DLQ:in", 1]]
    assert client.hkeys(keys.reasons("DLQ:in")) == [uuids["DLQ:in", 1]]
    assert recovering.elements("out") == [uuids["out", 1]]
    assert client.smembers(keys.unread("out")) == {uuids["out", 1]}
    assert client.zcard(keys.lease("out")) == 0


async def test_vcons_of_other_programs(recovering: RecoveryScene) -> None:
    """Without rows of custody the history tells: by the run, or by a later token."""
    await recovering.recover()
    client = recovering.client
    begun, since, stays = (f"{number:08d}{RUN[8:]}" for number in range(3))
    client.rpush("in", begun, since, stays)
    client.hset(keys.attempts("in"), begun, f"1\n{RUN}\n0")
    run = {
        "chain": "main",
        "config_hash": "",
        "status": "done",
        "attempts": 1,
        "steps": [],
        "ingress_list": "in",
        "finished_at": "2026-11-30T00:00:00Z",
    }
    other = RUN[:-1] + "2"
    RunHistory(recovering.database).write_runs(
        [
            run | {"run_id": RUN, "vcon_in": begun, "vcon_out": begun, "token": 1},
            run | {"run_id": other, "vcon_in": since, "vcon_out": since, "token": 9},
        ]
    )
    older(client)
    await recovering.recover()
    assert recovering.elements("in") == [stays]


async def test_what_came_again_since(recovering: RecoveryScene) -> None:
    """The element of the first request has ended; that of the second is not in these data."""
    await recovering.recover()
    entry = await recovering.accept(["in"])
    recovering.release(entry, "in")
    recovering.commit("in", vcon_uuid=entry.vcon_uuid, digest="new", document=entry.document)
    older(recovering.client)
    await recovering.recover()
    assert recovering.elements("in") == [entry.vcon_uuid]
    assert len(recovering.refs(entry.vcon_uuid, "in")) == 1
