"""What custody holds and Redis has lost is put into Redis again, once."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from redis import Redis

from pipeline.ingest.idempotency import registration
from pipeline.redis_client import keys
from tests.integration.db.ingress_rows import execute
from tests.integration.recovery.recovery_scene import RecoveryScene

RUN = "019aa000-0000-7000-8000-000000000001"


async def test_everything_is_queued_again(recovering: RecoveryScene) -> None:
    """Document, digest, owner, index, lists, and a run that is marked."""
    await recovering.recover()
    entry = await recovering.accept(["in", "two"], parties=[{"tel": "+12015550123"}])
    about = recovering.client.hgetall(keys.about(entry.vcon_uuid))
    recovering.client.flushall()
    await recovering.recover()
    uuid, client = entry.vcon_uuid, recovering.client
    assert recovering.elements("in") == recovering.elements("two") == [uuid]
    assert recovering.document(uuid) == orjson.loads(entry.document)
    after = client.hgetall(keys.about(uuid))
    assert {name: after[name] for name in about if "custody" not in name} == {
        name: about[name] for name in about if "custody" not in name
    }
    assert client.smembers(keys.holds(uuid)) == {"in", "two"}
    assert client.smembers("tel:+12015550123") == {uuid}
    assert client.zscore("vcons", uuid) == entry.created_at
    run = recovering.journal("in", uuid)
    assert (run["recovered"], run["chain"], run["status"]) == (True, "main", "queued")


async def test_it_comes_once(recovering: RecoveryScene) -> None:
    """A second recovery and a repeated request change nothing."""
    await recovering.recover()
    entry = await recovering.accept(["in"])
    for _ in range(2):
        recovering.client.set("pc:tokens", 0)
        await recovering.recover()
        assert (await recovering.intake.ingest(entry, ["in"])).outcome == "duplicate"
    recovering.client.flushall()
    for _ in range(2):
        await recovering.recover()
        assert recovering.elements("in") == [entry.vcon_uuid]
        recovering.client.set("pc:tokens", 0)
    assert (await recovering.intake.ingest(entry, ["in"])).outcome == "duplicate"
    assert recovering.elements("in") == [entry.vcon_uuid]


async def test_what_is_released_stays_away(recovering: RecoveryScene) -> None:
    """Of two lists only the one whose run has not ended."""
    await recovering.recover()
    entry, done = await recovering.accept(["in", "two"]), await recovering.accept(["in"])
    recovering.release(entry, "in")
    recovering.release(done, "in")
    recovering.client.flushall()
    await recovering.recover()
    assert recovering.elements("in") == []
    assert recovering.elements("two") == [entry.vcon_uuid]
    assert not recovering.client.exists(keys.vcon(done.vcon_uuid))


async def test_the_latest_row_counts(recovering: RecoveryScene) -> None:
    """Other content under the same uuid is queued once, with that content."""
    await recovering.recover()
    entry = await recovering.accept(["in"])
    await recovering.accept(["in"], uuid=entry.vcon_uuid, subject="other")
    recovering.client.flushall()
    await recovering.recover()
    assert recovering.elements("in") == [entry.vcon_uuid]
    assert recovering.document(entry.vcon_uuid)["subject"] == "other"


async def test_the_row_of_a_repeated_request_is_left_over(recovering: RecoveryScene) -> None:
    """Its process died before it was deleted: what has ended is not run again."""
    await recovering.recover()
    entry = await recovering.accept(["in"])
    digest = recovering.client.hget(keys.about(entry.vcon_uuid), "digest")
    same: Any = {"vcon_uuid": entry.vcon_uuid, "document": entry.document, "digest": digest}
    recovering.commit("in", **same)
    recovering.release(entry, "in")
    recovering.client.flushall()
    await recovering.recover()
    assert recovering.elements("in") == []


async def test_a_vcon_that_was_queued_once_more(recovering: RecoveryScene) -> None:
    """EnqueueVcons wants a further run of what has ended."""
    await recovering.recover()
    entry = await recovering.accept(["in"])
    recovering.release(entry, "in")
    await recovering.intake.enqueue([entry.vcon_uuid], "in")
    recovering.client.flushall()
    await recovering.recover()
    assert recovering.elements("in") == [entry.vcon_uuid]


async def test_a_requested_run_keeps_its_id_and_key(recovering: RecoveryScene) -> None:
    """The same request again is answered with it."""
    await recovering.recover()
    entry = await recovering.accept([])
    intake, uuid, run = recovering.intake, entry.vcon_uuid, _run("queued")
    await intake.enqueue_run(uuid, RUN, "main", run, "key")
    recovering.client.flushall()
    await recovering.recover()
    assert recovering.elements("run:main") == [f"{uuid}|{RUN}"]
    assert recovering.client.smembers(keys.holds(uuid)) == {f"run:main|{RUN}"}
    assert recovering.journal("run:main", f"{uuid}|{RUN}")["recovered"]
    other = RUN[:-1] + "2"
    assert await intake.enqueue_run(uuid, other, "main", run, "key") == RUN
    assert len(recovering.elements("run:main")) == 1


async def test_a_request_with_a_key_is_known(recovering: RecoveryScene) -> None:
    """A repeated request over HTTP queues nothing, also if its run has ended."""
    await recovering.recover()
    request = registration("caller", "key", ["in"])
    entry = await recovering.accept(["in"], request)
    recovering.release(entry, "in")
    recovering.client.flushall()
    await recovering.recover()
    assert 0 < recovering.client.ttl(request.name) <= 86400
    again = await recovering.intake.ingest(entry, ["in"], request=request)
    assert again.outcome == "duplicate"
    assert recovering.elements("in") == []


async def test_a_run_continues_where_it_was(recovering: RecoveryScene) -> None:
    """Its checkpoint, its attempts and the document of then."""
    await recovering.recover()
    state = orjson.loads(_run("running")) | {"attempts": 2, "steps": [{"name": "a"}]}
    recovering.commit("in", vcon_uuid=(uuid := "0" * 8 + RUN[8:]), state=state)
    recovering.client.flushall()
    await recovering.recover()
    count, run, suspect = recovering.client.hget(keys.attempts("in"), uuid).split("\n")
    assert (count, run, suspect) == ("2", RUN, "0")
    assert recovering.journal("in", uuid)["steps"] == [{"name": "a"}]


async def test_dead_letters_have_their_reasons(recovering: RecoveryScene) -> None:
    """One for each list that they came from, and the run that a replay goes on with."""
    await recovering.recover()
    uuid = "0" * 8 + RUN[8:]
    for name in ("in", "two"):
        reason = {"list_name": name, "error": "x", "run_id": RUN, "fingerprint": "abc"}
        state = {"reason": reason, "run": orjson.loads(_run("failed"))}
        recovering.commit("DLQ:storage:shelf", vcon_uuid=uuid, state=state)
    recovering.client.flushall()
    await recovering.recover()
    assert recovering.elements("DLQ:storage:shelf") == [uuid]
    told = orjson.loads(recovering.client.hget(keys.reasons("DLQ:storage:shelf"), uuid))
    assert (told["list_name"], told["beside"][0]["list_name"]) == ("two", "in")
    assert orjson.loads(recovering.client.get(keys.run(RUN)))["run_id"] == RUN
    assert recovering.client.zrange("pc:cause:abc:DLQ:storage:shelf", 0, -1) == [uuid]


async def test_egress_lists_have_what_was_not_read(recovering: RecoveryScene) -> None:
    """Readers acknowledge it as before."""
    await recovering.recover()
    uuid = "0" * 8 + RUN[8:]
    recovering.commit("out", vcon_uuid=uuid, run_id=RUN)
    recovering.client.flushall()
    await recovering.recover()
    assert recovering.elements("out") == [uuid]
    assert recovering.client.smembers(keys.unread("out")) == {uuid}
    assert recovering.client.smembers(keys.holds(uuid)) == {"out"}


async def test_a_halted_vcon_is_there(recovering: RecoveryScene) -> None:
    """No list gets it, but readers find its document."""
    await recovering.recover()
    entry = await recovering.accept(["in"])
    statement = "UPDATE custody SET open = '{}', released_at = now(), outcome = 'halted'"
    execute(recovering.database, statement)
    recovering.client.flushall()
    await recovering.recover()
    assert recovering.document(entry.vcon_uuid) is not None
    assert recovering.elements("in") == []


async def test_many_in_slices(recovering: RecoveryScene, client: Redis) -> None:
    """More than a page, with requests coming in meanwhile."""
    await recovering.recover()
    uuids = [f"{number:08d}{RUN[8:]}" for number in range(1100)]
    for uuid in uuids:
        recovering.commit("in", vcon_uuid=uuid)
    client.flushall()
    watch = recovering.watch()
    while not recovering.is_open():
        await watch._look()
        await watch._recovery.go_on()
    more, _ = await asyncio.gather(recovering.accept(["in"]), watch.finish())
    assert sorted(recovering.elements("in")) == sorted([*uuids, more.vcon_uuid])
    [event] = [each for each in recovering.records.ledger.events(None, None, 9) if each.detail]
    assert (event.action, event.detail["queued"]) == ("recover", 1100)


async def test_lost_again_in_the_middle(recovering: RecoveryScene) -> None:
    """What was queued before the second loss is queued again."""
    await recovering.recover()
    uuids = [f"{number:08d}{RUN[8:]}" for number in range(600)]
    for uuid in uuids:
        recovering.commit("in", vcon_uuid=uuid)
    recovering.client.flushall()
    watch = recovering.watch()
    await watch._look()
    while not recovering.elements("in"):
        await watch._recovery.go_on()
    recovering.client.flushall()
    await watch._recovery.go_on()
    await watch.finish()
    assert sorted(recovering.elements("in")) == uuids


def _run(status: str) -> bytes:
    return orjson.dumps(
        {
            "run_id": RUN,
            "chain": "main",
            "vcon_in": RUN,
            "vcon_out": RUN,
            "status": status,
            "attempts": 1,
            "steps": [],
        }
    )
