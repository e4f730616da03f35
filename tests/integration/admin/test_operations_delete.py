"""Deleting a vCon: from every list and index, and from the storages named."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from core.errors import (
    BusyError,
    UnknownNameError,
)
from pipeline.redis_client import keys
from schemas.deletion import Deletion
from tests.integration.support.operations_scene import (
    FOR_EVER,
    GONE,
    RUN_EXPIRY,
    Operations,
    filed,
    operations,
    two_chains,
)
from tests.integration.support.pipeline_fixtures import new_uuid

RUN = b'{"status":"queued","finished_at":null}'


@pytest.fixture
async def ops(redis_url: str, tmp_path: Path, monkeypatch: Any) -> AsyncIterator[Operations]:
    """Chains from `in` over `middle` to `out`, and storages that are only read and deleted from."""
    monkeypatch.syspath_prepend(tmp_path)
    async with operations(redis_url) as opened:
        opened.configure(two_chains(tmp_path))
        yield opened


async def test_a_deleted_vcon_leaves_no_trace(ops: Operations) -> None:
    """Document, index, queue entries, dead letters and loans are gone from every list."""
    parties = [{"tel": "+1", "name": "Ann\nvcons"}]
    vcon_uuid = await ops.ingest("in", parties=parties)
    await ops.intake.enqueue([vcon_uuid], "middle")
    await ops.intake.enqueue([vcon_uuid], "no longer configured")
    for name in ("DLQ:in", "DLQ:storage:files", "out"):
        ops.client.rpush(name, vcon_uuid)
    ops.client.hset("pc:dead:DLQ:in", vcon_uuid, '{"run_id": null}')
    ops.client.hset("pc:dead:DLQ:storage:files", vcon_uuid, '{"run_id": "r"}')
    ops.client.sadd("pc:unread:out", vcon_uuid)
    await ops.egress.read("out", 1, 60)
    ops.client.zadd("pc:later", {f"in\n{vcon_uuid}": 1})
    ops.client.hset("pc:attempts:in", vcon_uuid, "1\nr1\n0")
    ops.client.zadd("vcons", {f"vcon:{vcon_uuid}": 1})
    ops.client.zadd("pc:expiring", {vcon_uuid: 1})
    assert await ops.operations.delete(vcon_uuid.upper(), []) == Deletion({"redis": True})
    assert ops.traces(vcon_uuid) == []
    assert ops.client.zcard("pc:later") == 0


async def test_others_stay_when_one_is_deleted(ops: Operations) -> None:
    """Only this vCon's entries go."""
    gone, stays = [await ops.ingest("in", parties=[{"tel": "+1"}]) for _ in range(2)]
    await ops.operations.delete(gone, [])
    assert (ops.list("in"), ops.holders(stays)) == ([stays], {"in"})
    assert (await ops.operations.search(["tel:+1"], 9, None)).vcon_uuids == [stays]


async def test_runs_that_wait_for_a_deleted_vcon_are_cancelled(ops: Operations) -> None:
    """Callers that wait for the run, and later ones, get `cancelled`; the history has it, too."""
    vcon_uuid = await ops.ingest()
    runs = ops.workers.runs(ops.configuration)
    listening = ops.client.pubsub()
    listening.subscribe(keys.FINISHED_CHANNEL)
    run_id = await runs.start("main", vcon_uuid)
    await ops.operations.delete(vcon_uuid, [])
    run = await runs.find(run_id)
    assert (run.status, run.finished_at is not None) == ("cancelled", True)
    assert ops.list("run:main") == []
    assert orjson.loads(ops.client.lindex(keys.HISTORY, 0))["run_id"] == run_id
    assert 0 < ops.client.ttl(keys.run(run_id)) <= RUN_EXPIRY
    heard = [listening.get_message(timeout=60) for _ in range(2)]
    assert heard[1]["data"] == run_id
    listening.close()


async def test_a_run_that_has_ended_is_not_cancelled(ops: Operations) -> None:
    """What has failed stays failed, and goes from Redis after a while like any other."""
    vcon_uuid = await ops.ingest()
    for run in ("dead", "late"):
        ops.client.set(keys.run(run), '{"status":"failed","finished_at":null}')
    ops.client.hset("pc:dead:DLQ:in", vcon_uuid, '{"run_id": "dead"}')
    ops.client.hset("pc:attempts:in", vcon_uuid, "1\nlate\n0")
    ops.client.rpush("DLQ:in", vcon_uuid)
    await ops.operations.delete(vcon_uuid, [])
    for run in ("dead", "late"):
        assert ops.client.get(keys.run(run)) == '{"status":"failed","finished_at":null}'
        assert 0 < ops.client.ttl(keys.run(run)) <= RUN_EXPIRY


async def test_a_vcon_that_is_being_processed_is_not_deleted(ops: Operations) -> None:
    """Neither Redis nor the storages change."""
    vcon_uuid = await ops.ingest("in")
    await filed(ops, vcon_uuid)
    with ops.held(vcon_uuid), pytest.raises(BusyError, match="is being processed"):
        await ops.operations.delete(vcon_uuid, ["files"])
    assert (ops.list("in"), ops.left(vcon_uuid)) == ([vcon_uuid], FOR_EVER)
    assert await ops.operations.delete(vcon_uuid, ["files"]) == Deletion(
        {"redis": True, "files": True}
    )


async def test_delete_from_storages(ops: Operations) -> None:
    """Only the storages named lose it; each tells whether it had it."""
    vcon_uuid = await ops.ingest()
    await filed(ops, vcon_uuid)
    assert await ops.operations.delete(vcon_uuid, []) == Deletion({"redis": True})
    assert await ops.operations.delete(vcon_uuid, ["files"]) == Deletion(
        {"redis": False, "files": True}
    )
    with pytest.raises(UnknownNameError, match=f"Unknown vCon: {vcon_uuid}"):
        await ops.operations.delete(vcon_uuid, ["files"])


async def test_a_storage_may_be_called_redis(ops: Operations) -> None:
    """What that storage says does not hide what Redis said."""
    vcon_uuid = await ops.ingest()
    assert await ops.operations.delete(vcon_uuid, ["redis"]) == Deletion({"redis": True})


async def test_nothing_is_deleted_for_an_unknown_storage(ops: Operations) -> None:
    """A mistake in the request is found before anything is removed."""
    vcon_uuid = await ops.ingest()
    with pytest.raises(UnknownNameError, match="Unknown storage: nowhere"):
        await ops.operations.delete(vcon_uuid, ["files", "nowhere"])
    assert ops.left(vcon_uuid) == FOR_EVER


@pytest.mark.parametrize(
    ("storage", "reason"), [("forgetful", "it cannot delete"), ("broken", "OSError: no disk")]
)
async def test_a_storage_that_does_not_delete_stops_no_other(
    ops: Operations, storage: str, reason: str
) -> None:
    """Redis and the storages before and after it are emptied, and it is named with the reason."""
    vcon_uuid = await ops.ingest()
    await filed(ops, vcon_uuid)
    deletion = await ops.operations.delete(vcon_uuid, [storage, "files"])
    assert deletion.removed == {"redis": True, "files": True}
    assert list(deletion.failed) == [storage]
    assert reason in deletion.failed[storage]
    assert ops.left(vcon_uuid) == GONE


async def test_only_a_queue_entry_is_there(ops: Operations) -> None:
    """A uuid without a document can be taken out of the queue."""
    ops.client.rpush("in", vcon_uuid := new_uuid())
    assert await ops.operations.delete(vcon_uuid, []) == Deletion({"redis": True})
    assert ops.list("in") == []


async def test_a_vcon_with_many_queue_entries(ops: Operations) -> None:
    """Each copy in a list and each requested run goes, in several steps."""
    vcon_uuid, other = await ops.ingest("in"), await ops.ingest("in")
    ops.client.rpush("in", *[vcon_uuid, other] * 1500)
    ops.client.rpush("pc:suspects:in", vcon_uuid)
    for number in range(130):
        await ops.intake.enqueue_run(vcon_uuid, f"r{number}", "main", RUN)
    assert await ops.index.delete(vcon_uuid, ["in", "run:main"])
    assert ops.traces(vcon_uuid) == []
    assert ops.list("in") == [other] * 1501
    assert ops.client.llen(keys.HISTORY) == 130


async def test_a_queue_entry_that_moves_while_it_is_deleted(
    ops: Operations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is put into the list or taken out of it meanwhile does not hide it."""
    others = [new_uuid() for _ in range(6000)]
    ops.client.rpush("in", *others[:3000])
    vcon_uuid = await ops.ingest()
    ops.client.rpush("in", vcon_uuid, *others[3000:])
    command, moves = ops.redis.command, iter(range(400, 0, -50))

    async def moving(*words: Any) -> Any:
        if words[0] == "EVALSHA" and (count := next(moves, 0)):
            ops.client.rpush("in", *others[:count])
            ops.client.lpop("in", count)
        return await command(*words)

    monkeypatch.setattr(ops.redis, "command", moving)
    assert await ops.index.delete(vcon_uuid, ["in"])
    assert ops.traces(vcon_uuid) == []
    assert ops.client.llen("in") == 6000
