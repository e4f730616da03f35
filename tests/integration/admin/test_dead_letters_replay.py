"""Dead letters on their way back: where they go on, and how that ends."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
import pytest

from pipeline.redis_client import keys
from tests.integration.support.dead_letters_scene import Plugins, failed, replay
from tests.integration.support.operations_scene import FOR_EVER, RUN_EXPIRY, Operations, operations
from tests.integration.support.pipeline_fixtures import a_vcon, both, new_uuid


@pytest.fixture
def plugins() -> Plugins:
    """Plugins that do not fail yet."""
    return Plugins()


@pytest.fixture
async def ops(redis_url: str, plugins: Plugins) -> AsyncIterator[Operations]:
    """An empty Redis, and the chain of the plugins."""
    async with operations(redis_url) as opened:
        opened.configure(plugins.configuration())
        yield opened


async def test_replay_goes_on_at_the_failed_link(ops: Operations, plugins: Plugins) -> None:
    """Finished links are not repeated; the vCon ends where it would have."""
    [vcon_uuid] = await failed(ops, plugins, "second")
    assert await replay(ops) == 1
    [ended] = await ops.work()
    assert plugins.called() == ["second", "cellar", "shelf"]
    assert (ended.status, ops.list("out"), ops.list("DLQ:in")) == ("done", [vcon_uuid], [])
    assert [step for step, _ in ended.steps][:2] == ["first", "second"]


async def test_replay_from_the_start(ops: Operations, plugins: Plugins) -> None:
    """When asked, finished links are repeated."""
    await failed(ops, plugins, "second")
    assert await replay(ops, from_start=True) == 1
    await ops.work()
    assert plugins.called() == ["first", "second", "cellar", "shelf"]


async def test_replay_of_a_storage_repeats_only_that(ops: Operations, plugins: Plugins) -> None:
    """Neither links nor the other storage run again; then the vCon is forwarded, once."""
    [vcon_uuid] = await failed(ops, plugins, "cellar")
    assert (ops.list("DLQ:storage:cellar"), ops.list("out")) == ([vcon_uuid], [])
    assert await replay(ops, storage_name="cellar") == 1
    [ended] = await ops.work()
    assert plugins.called() == ["cellar"]
    assert (ended.status, ops.list("out")) == ("done", [vcon_uuid])
    assert ops.holders(vcon_uuid) == {"out"}


async def test_two_storages_are_replayed_together(ops: Operations, plugins: Plugins) -> None:
    """One replay repeats every storage that the run lacks, and clears both lists."""
    [vcon_uuid] = await failed(ops, plugins, "cellar", "shelf")
    assert await replay(ops, storage_name="cellar") == 1
    assert (ops.list("DLQ:storage:cellar"), ops.list("DLQ:storage:shelf")) == ([], [])
    await ops.work()
    assert plugins.called() == ["cellar", "shelf"]
    assert ops.list("out") == [vcon_uuid]


async def test_a_replay_that_fails_again_is_a_dead_letter_again(
    ops: Operations, plugins: Plugins
) -> None:
    """It comes back with the new reason, and its hold never lapses."""
    [vcon_uuid] = await failed(ops, plugins, "second")
    await replay(ops)
    plugins.failing = {"second"}
    await ops.work()
    [letter] = (await ops.operations.dead_letters("in", None, 10, None)).entries
    assert letter.run_id == orjson.loads(ops.client.lindex(keys.HISTORY, -1))["run_id"]
    assert (ops.holders(vcon_uuid), ops.left(vcon_uuid)) == ({"DLQ:in"}, FOR_EVER)


async def test_what_another_program_replays_is_a_dead_letter_again(
    ops: Operations, plugins: Plugins
) -> None:
    """One moved back by hand that fails before anybody notices is in the list once more."""
    [vcon_uuid] = await failed(ops, plugins, "second")
    ops.client.lmove("DLQ:in", "in", "LEFT", "RIGHT")
    plugins.failing = {"first"}
    await ops.work()
    await ops.sweep()
    assert (ops.list("DLQ:in"), ops.holders(vcon_uuid)) == ([vcon_uuid], {"DLQ:in"})
    assert ops.workers.reason("DLQ:in", vcon_uuid)["step"] == "first"


async def test_a_vcon_that_fails_twice_stands_in_the_list_once(
    ops: Operations, plugins: Plugins
) -> None:
    """Queued again while its dead letter still lies there, it changes the reason only."""
    [vcon_uuid] = await failed(ops, plugins, "second")
    await ops.intake.enqueue([vcon_uuid], "in")
    plugins.failing = {"first"}
    await ops.work()
    assert ops.list("DLQ:in") == [vcon_uuid]
    assert ops.workers.reason("DLQ:in", vcon_uuid)["step"] == "first"


async def test_a_replayed_run_is_a_new_one(ops: Operations, plugins: Plugins) -> None:
    """The failed run stays for a while, and the new one can be asked for at once."""
    [vcon_uuid] = await failed(ops, plugins, "second")
    old = ops.workers.reason("DLQ:in", vcon_uuid)["run_id"]
    assert ops.client.ttl(keys.run(old)) == FOR_EVER
    await replay(ops)
    _, new, _ = ops.client.hget("pc:attempts:in", vcon_uuid).split("\n")
    run = ops.workers.journal(new)
    assert 0 < ops.client.ttl(keys.run(old)) <= RUN_EXPIRY
    assert new != old
    assert (run["status"], run["chain"], run["error"]) == ("queued", "main", None)
    assert [step["name"] for step in run["steps"]] == ["first"]


async def test_a_foreign_entry_starts_over(ops: Operations, plugins: Plugins) -> None:
    """What vcon-server has left in the list of ours runs through the whole chain."""
    [vcon_uuid] = await ops.workers.feed("DLQ:in")
    assert await replay(ops) == 1
    [ended] = await ops.work()
    assert plugins.called() == ["first", "second", "cellar", "shelf"]
    assert (ended.status, ops.list("out")) == ("done", [vcon_uuid])


async def test_a_foreign_entry_of_a_storage(ops: Operations, plugins: Plugins) -> None:
    """It is written by the one chain that has the storage, without the links."""
    await ops.workers.feed("DLQ:storage:cellar")
    assert await replay(ops, storage_name="cellar") == 1
    await ops.work()
    assert plugins.called() == ["cellar"]


@pytest.mark.parametrize(("egress", "replayed"), [((), 1), (("other",), 0)])
async def test_a_foreign_entry_of_a_storage_of_two_chains(
    ops: Operations, plugins: Plugins, egress: tuple[str, ...], replayed: int
) -> None:
    """It goes to one that forwards to no list; if both do, its chain is unknown, and it stays."""
    second = plugins.configuration(name="second", ingress=("in2",), egress=egress)
    ops.configure(both(plugins.configuration(), second))
    await ops.workers.feed("DLQ:storage:cellar")
    assert await replay(ops, storage_name="cellar") == replayed
    assert len(ops.list("run:second")) == replayed
    assert len(ops.list("DLQ:storage:cellar")) == 1 - replayed


async def test_a_requested_run_is_replayed_in_its_own_list(
    ops: Operations, plugins: Plugins
) -> None:
    """What RunChain asked for goes on in that chain's run list."""
    vcon_uuid = await ops.ingest()
    await ops.intake.enqueue_run(vcon_uuid, "r1", "main", b"{}")
    plugins.failing = {"second"}
    await ops.work()
    plugins.failing.clear()
    plugins.called()
    assert ops.list("DLQ:run:main") == [vcon_uuid]
    assert await replay(ops, list_name="run:main") == 1
    [ended] = await ops.work()
    assert plugins.called() == ["second", "cellar", "shelf"]
    assert (ended.status, ended.run["ingress_list"]) == ("done", None)


async def test_new_content_is_not_taken_for_the_old(ops: Operations, plugins: Plugins) -> None:
    """A vCon that was replaced while it was a dead letter runs through every link."""
    [vcon_uuid] = await failed(ops, plugins, "cellar")
    await ops.take(a_vcon(vcon_uuid, subject="new"))
    assert await replay(ops, storage_name="cellar") == 1
    await ops.work()
    assert plugins.called() == ["first", "second", "cellar", "shelf"]


async def test_content_replaced_during_the_replay(ops: Operations, plugins: Plugins) -> None:
    """A journal that is gone by the time of the script is not gone on from."""
    [vcon_uuid] = await failed(ops, plugins, "second")
    words = (vcon_uuid, vcon_uuid, "in", vcon_uuid, "new-run", b"{}", "gone-run", 1, "DLQ:in", -1)
    assert await ops.redis.script("replay", RUN_EXPIRY, "", 1, *words) == []
    assert (ops.list("DLQ:in"), ops.list("in")) == ([vcon_uuid], [])


async def test_another_vcon_came_out_of_a_link(ops: Operations, plugins: Plugins) -> None:
    """A storage's dead letter is what the links made; from the start is what came in."""
    made = await ops.ingest()
    came_in = a_vcon()
    plugins.becomes[came_in["uuid"]] = made
    for from_start, expected in ((False, [("cellar", made)]), (True, [("first", came_in["uuid"])])):
        await ops.take(came_in | {"subject": str(from_start)}, "in")
        plugins.failing = {"cellar"}
        await ops.work()
        plugins.failing.clear()
        plugins.calls.clear()
        assert ops.list("DLQ:storage:cellar") == [made]
        assert await replay(ops, storage_name="cellar", from_start=from_start) == 1
        await ops.work()
        assert plugins.calls[:1] == expected


async def test_the_start_is_gone(ops: Operations, plugins: Plugins) -> None:
    """When the vCon that came in is here no more, the start is what came of it."""
    made = await ops.ingest()
    came_in = a_vcon()
    plugins.becomes[came_in["uuid"]] = made
    await ops.take(came_in, "in")
    plugins.failing = {"cellar"}
    await ops.work()
    plugins.failing.clear()
    plugins.calls.clear()
    ops.forget_time(came_in["uuid"])
    assert await replay(ops, storage_name="cellar", from_start=True) == 1
    [ended] = await ops.work()
    assert (plugins.calls[0], ended.status) == (("first", made), "done")


async def test_one_cause_among_many_dead_letters(ops: Operations) -> None:
    """Those that lie deep in the list are found and taken out; the others stay, each once."""
    uuids = [new_uuid() for _ in range(4000)]
    causes = ["this" if 1500 <= number < 2300 else "other" for number in range(4000)]
    reasons = {
        each: f'{{"list_name": "in", "cause": "{cause}"}}'
        for each, cause in zip(uuids, causes, strict=True)
    }
    ops.client.rpush("DLQ:in", *uuids)
    ops.client.hset(keys.reasons("DLQ:in"), mapping=reasons)
    assert await replay(ops, cause="this", limit=600) == 600
    assert await replay(ops, cause="this") == 200
    assert ops.list("in") == uuids[1500:2300]
    left = ops.list("DLQ:in")
    assert (len(left), set(left)) == (3200, set(uuids[:1500] + uuids[2300:]))
    assert set(ops.client.hkeys(keys.reasons("DLQ:in"))) == set(left)
