"""A uuid with a tombstone comes in by no way, and what is left of its vCon is not used."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from core.errors import GoneError
from lib.vcon_redis import AsyncVconRedis, VconRedis
from pipeline.redis_client import keys
from tests.integration.support.dead_letters_scene import Plugins, failed, replay
from tests.integration.support.operations_scene import (
    Operations,
    filed,
    operations,
    refused,
    two_chains,
)
from tests.integration.support.pipeline_fixtures import a_vcon, configured, link, new_uuid, storage

ERASURE = "0193a5f0-0000-7000-8000-000000000001"

type Door = Callable[[Operations, str], Awaitable[object]]


@pytest.fixture
async def ops(redis_url: str, tmp_path: Path) -> AsyncIterator[Operations]:
    """The operations with a chain from `in` to `middle`, one to `out`, and a storage `files`."""
    async with operations(redis_url) as opened:
        opened.configure(two_chains(tmp_path))
        yield opened


async def lay(ops: Operations, *vcon_uuids: str) -> list[str]:
    """Lay tombstones; those of which Redis has something."""
    pairs = [word for each in vcon_uuids for word in (each, ERASURE)]
    found: list[str] = await ops.redis.script("lay_tombstones", "", *pairs)
    return found


async def _forget(ops: Operations, vcon_uuid: str) -> None:
    ops.client.delete(keys.vcon(vcon_uuid))


async def _fetched(ops: Operations, vcon_uuid: str) -> None:
    await _forget(ops, vcon_uuid)
    await ops.operations.enqueue([vcon_uuid], "in")


async def _enqueued_beside_another(ops: Operations, vcon_uuid: str) -> None:
    await ops.operations.enqueue([await ops.ingest("in"), vcon_uuid], "in")


async def _found_in_a_storage(ops: Operations, vcon_uuid: str) -> None:
    await _forget(ops, vcon_uuid)
    await ops.operations._lookup.find(vcon_uuid)


DOORS: dict[str, Door] = {
    "ingest": lambda ops, each: ops.take(a_vcon(each), "in"),
    "ingest for no list": lambda ops, each: ops.take(a_vcon(each)),
    "enqueue": _enqueued_beside_another,
    "enqueue what a storage has": _fetched,
    "run": lambda ops, each: ops.intake.enqueue_run(each, new_uuid(), "main", b"{}"),
    "restore": lambda ops, each: ops.workers.store.restore(a_vcon(each), 60),
    "write": lambda ops, each: ops.workers.store.put(a_vcon(each)),
    "write in a thread": lambda ops, each: AsyncVconRedis().store_vcon_dict(a_vcon(each)),
    "read": lambda ops, each: ops.operations._lookup.find(each),
    "read what a storage has": _found_in_a_storage,
    "read a storage": lambda ops, each: ops.operations._lookup.find_in("files", each),
    "read for a chain": lambda ops, each: ops.operations._lookup.bring_back(each),
    "read over HTTP": lambda ops, each: ops.vcon_server.text(each),
    "replay": lambda ops, each: replay(ops, vcon_uuids=[each]),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("is_here", [True, False], ids=["here", "gone"])
async def test_every_door_is_closed(ops: Operations, door: str, is_here: bool) -> None:
    """While Redis and a storage still have the vCon, and when only the tombstone is left."""
    vcon_uuid = await ops.ingest("in") if is_here else new_uuid()
    await filed(ops, vcon_uuid) if is_here else None
    assert await lay(ops, vcon_uuid) == ([vcon_uuid] if is_here else [])
    if not is_here:
        before = set(ops.client.scan_iter())
    with pytest.raises(GoneError, match=vcon_uuid):
        await DOORS[door](ops, vcon_uuid)
    if not is_here:
        others = {each for each in set(ops.client.scan_iter()) - before if vcon_uuid in each}
        assert not others
        assert vcon_uuid not in ops.list("in")


async def test_actions_answer_410(ops: Operations) -> None:
    """With the uuid, and that it is useless to send it again."""
    vcon_uuid = await ops.ingest("in")
    await lay(ops, vcon_uuid)
    status, text = await refused(ops, "EnqueueVcons", vcon_uuids=[vcon_uuid], ingress_list="in")
    assert (status, text) == (410, f"vCon {vcon_uuid} was erased; its uuid is not accepted again")


async def test_several_vcons_are_read_without_the_erased_one(ops: Operations) -> None:
    """Nor does a plugin that asks for it get it."""
    one, other = await ops.ingest("in"), await ops.ingest("in")
    await lay(ops, one)
    texts = await ops.vcon_server.texts([one, other])
    assert [text is None for text in texts] == [True, False]
    assert await AsyncVconRedis().get_vcon_dict(one) is None
    assert VconRedis().get_vcon_dict(one) is None


@pytest.mark.parametrize("spelling", [str, str.upper], ids=["canonical", "upper case"])
async def test_what_another_program_queues_is_dropped(
    ops: Operations, spelling: Callable[[str], str]
) -> None:
    """In a list, in a run list and among delayed retries; the vCon behind it is run."""
    seen: list[str] = []
    ops.configure(configured(links=[link(lambda vcon_uuid, *_: seen.append(vcon_uuid))]))
    vcon_uuid = spelling(new_uuid())
    await ops.redis.command("JSON.SET", keys.vcon(vcon_uuid), ".", '{"uuid":"any"}')
    await lay(ops, vcon_uuid.lower())
    ops.client.rpush("in", vcon_uuid)
    ops.client.rpush("run:main", f"{vcon_uuid}|{new_uuid()}")
    ops.client.zadd(keys.LATER, {f"in\n{vcon_uuid}": 1})
    other = await ops.ingest("in")
    await ops.work()
    assert seen == [other]
    left = "in", "run:main", keys.LATER, keys.holds(vcon_uuid), keys.vcon(vcon_uuid)
    assert ops.client.exists(*left) == 0


@pytest.mark.parametrize("ending", ["done", "failed", "retried", "storage failed", "stored"])
async def test_a_run_that_is_under_way_leaves_nothing(ops: Operations, ending: str) -> None:
    """No document, egress, dead letter, retry or note for the index; the element is gone."""

    async def work(vcon_uuid: str, *_: Any) -> str:
        await lay(ops, vcon_uuid)
        if ending == "stored":
            await AsyncVconRedis().store_vcon_dict(a_vcon(vcon_uuid, subject="changed"))
        if ending in ("failed", "retried"):
            raise OSError("no network")
        return vcon_uuid

    def save(vcon_uuid: str, _options: Any) -> None:
        if ending == "storage failed":
            raise OSError("no disk")

    attempts = 2 if ending == "retried" else 1
    ops.configure(configured(links=[link(work)], storages=[storage(save)], max_attempts=attempts))
    vcon_uuid = await ops.ingest("in")
    crew = await ops.workers.start(ops.configuration)
    await ops.workers.ended()
    await crew.stop()
    for name in ("in", "out", "DLQ:in", "DLQ:storage:shelf", keys.INDEX):
        assert ops.list(name) == []
    assert ops.client.exists(keys.LATER, keys.holds(vcon_uuid), "pc:attempts:in") == 0
    assert ops.client.json().get(keys.vcon(vcon_uuid), "$.subject") == []
    assert ops.client.hget(keys.about(vcon_uuid), "saved") is None


async def test_a_run_that_makes_an_erased_vcon_is_cancelled(ops: Operations) -> None:
    """A link that stores it under its uuid neither brings it back nor hands it on."""
    erased = new_uuid()

    async def make(_vcon_uuid: str, *_: Any) -> str:
        await AsyncVconRedis().store_vcon_dict(a_vcon(erased))
        return erased

    ops.configure(configured(links=[link(make)]))
    await lay(ops, erased)
    await ops.ingest("in")
    [ended] = await ops.work()
    assert (ended.status, ops.list("out")) == ("cancelled", [])
    assert ops.client.exists(keys.vcon(erased), keys.about(erased)) == 0


async def test_a_worker_that_dies_does_not_bring_it_back(ops: Operations) -> None:
    """The rescue returns the element to its list, where the next claim drops it."""
    vcon_uuid = await ops.ingest("in")
    ops.client.set("pc:worker:dead", 1)
    await ops.workers.queues.claim("dead", 1, ["in"])
    await lay(ops, vcon_uuid)
    ops.client.delete("pc:worker:dead")
    assert await ops.workers.queues.rescue("dead") == 1
    ops.client.set("pc:worker:one", 1)
    assert (await ops.workers.queues.claim("one", 1, ["in"], suspects=True)).claims == []
    assert ops.client.exists("in", "pc:suspects:in", keys.LOCKS, "pc:attempts:in") == 0


async def test_a_dead_letter_is_not_replayed(ops: Operations) -> None:
    """Those beside it are."""
    plugins = Plugins()
    ops.configure(plugins.configuration())
    erased, other = await failed(ops, plugins, "second", count=2)
    await lay(ops, erased)
    assert await replay(ops) == 1
    assert (ops.list("in"), ops.list("DLQ:in")) == ([other], [erased])


async def test_a_key_of_another_type_is_no_tombstone(ops: Operations) -> None:
    """Another program cannot close a uuid by mistake, nor is its key overwritten."""
    vcon_uuid = new_uuid()
    ops.client.rpush(keys.tombstone(vcon_uuid), "another program's")
    assert (await ops.take(a_vcon(vcon_uuid), "in")).uuid == vcon_uuid
    with pytest.raises(Exception, match="is no string but a list"):
        await lay(ops, vcon_uuid)
