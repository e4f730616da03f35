"""Replays by cause: a canary first, then the rest; watched and stopped from elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from core.errors import ConflictError, UnknownNameError, UnusableKeyError
from core.operator_interfaces import Call
from core.settings import Settings
from pipeline.operator.causes.failures import FailureTable
from pipeline.operator.causes.replays import ReplayDesk
from pipeline.redis_client import keys
from pipeline.replays import records
from pipeline.replays import replay as replaying
from schemas.ingress_key import Author
from schemas.operator.failures import (
    FailureQuery,
    Failures,
    FailuresQuery,
    Replay,
    ReplayOrder,
    ReplaysQuery,
    ReplayStop,
)
from tests.integration.support.dead_letters_scene import Plugins, failed
from tests.integration.support.operations_scene import Operations, operations
from tests.integration.support.pipeline_fixtures import PATIENCE, new_uuid

CALL = Call(Author(actor="test"), "the vendor is back")
QUICK = {"rate": 100_000, "wait": True}


@pytest.fixture
def plugins() -> Plugins:
    """Plugins that do not fail yet."""
    return Plugins()


@pytest.fixture
async def ops(redis_url: str, plugins: Plugins) -> AsyncIterator[Operations]:
    """An empty Redis, and the chain of the plugins, with three attempts a run."""
    async with operations(redis_url) as opened:
        opened.configure(plugins.configuration())
        yield opened


def parts(ops: Operations, canary_seconds: float = 30) -> Any:
    """What the operations work with."""
    settings = Settings.model_construct(replay_canary_seconds=canary_seconds)
    return SimpleNamespace(
        redis=ops.redis,
        configuration=ops.configuration,
        operations=ops.operations,
        archive=ops.operations._runs,
        settings=settings,
    )


async def replay(ops: Operations, desk: ReplayDesk | None = None, **order: Any) -> Replay:
    """Replay while a worker is there; what became of it."""
    return await (desk or ReplayDesk(parts(ops))).replay(ReplayOrder(**QUICK | order), CALL)


async def causes(ops: Operations, **query: Any) -> Failures:
    """The table."""
    return await FailureTable(parts(ops)).failures(FailuresQuery(**query), CALL)


async def queued(ops: Operations, count: int) -> None:
    """Wait until so many are in the list again."""
    async with asyncio.timeout(PATIENCE):
        while len(ops.list("in")) < count:  # noqa: ASYNC110 -- Redis sends no event for it
            await asyncio.sleep(0.01)


async def test_the_table_is_over_all_lists(ops: Operations, plugins: Plugins) -> None:
    """Most frequent first; a cause of several lists is one row; other programs' are unknown."""
    await failed(ops, plugins, "second", count=2)
    *_, last = await failed(ops, plugins, "first", count=3)
    await failed(ops, plugins, "shelf", "cellar")
    ops.client.rpush("DLQ:in", new_uuid())
    table = await causes(ops)
    shown = [(each.step, each.type, each.message, each.count) for each in table.causes]
    assert shown[:2] == [
        ("link first", "OSError", "first is down", 3),
        ("link second", "OSError", "second is down", 2),
    ]
    assert sorted(shown[2:]) == [
        ("", "", "", 1),
        ("storage cellar", "OSError", "cellar is down", 1),
        ("storage shelf", "OSError", "shelf is down", 1),
    ]
    assert (table.total, table.causes[0].example, table.causes[0].lists) == (8, last, ["DLQ:in"])
    assert (await causes(ops, storage="shelf")).total == 1
    found = await FailureTable(parts(ops)).failure(
        FailureQuery(cause="link first: OSError", limit=1), CALL
    )
    [example] = found.examples
    assert (example.vcon_uuid, example.error) == (last, "OSError: first is down")
    unknown = await FailureTable(parts(ops)).failure(FailureQuery(cause="unknown"), CALL)
    assert len(unknown.examples) == 1
    with pytest.raises(UnknownNameError, match="cause"):
        await causes(ops, cause="none of them")


async def test_a_cause_that_is_gone(ops: Operations, plugins: Plugins) -> None:
    """The canary succeeds, and all others of the cause follow; other causes stay."""
    uuids = await failed(ops, plugins, "second", count=15)
    [other] = await failed(ops, plugins, "first")
    await ops.workers.start(ops.configuration)
    done = await replay(ops, cause="link second: OSError", canary=5)
    assert (done.state, done.counted, done.replayed, done.error) == ("done", 15, 15, None)
    assert (done.canary_ended, done.canary_failed, done.left) == (5, 0, 0)
    for _ in uuids:
        assert (await ops.workers.finished()).status == "done"
    assert ops.list("DLQ:in") == [other]
    assert not ops.client.exists(keys.AWAITED)


async def test_a_cause_that_is_still_there(ops: Operations, plugins: Plugins) -> None:
    """It costs as many attempts as the canary has vCons, however many the chain makes."""
    uuids = await failed(ops, plugins, "first", count=12)
    [other] = await failed(ops, plugins, "second")
    ops.configure(plugins.configuration(max_attempts=3))
    plugins.failing = {"first"}
    plugins.called()
    await ops.workers.start(ops.configuration)
    ended = await replay(ops, list_name="in", canary=4)
    assert (ended.state, ended.replayed, ended.canary_failed) == ("canary failed", 5, 4)
    assert "4 of 4 failed again" in str(ended.error)
    assert plugins.called().count("first") == 4
    assert set(ops.list("DLQ:in")) == {*uuids}, "the other cause is gone"
    assert other not in ops.list("DLQ:in")
    [row] = (await causes(ops)).causes
    assert row.count == 12


async def test_counting_changes_nothing(ops: Operations, plugins: Plugins) -> None:
    """A dry run counts by list and cause; a time leaves out what failed before, and the unknown."""
    await failed(ops, plugins, "second", count=2)
    ops.client.rpush("DLQ:in", new_uuid())
    before = set(ops.client.keys())
    counted = await replay(ops, list_name="in", dry_run=True)
    assert (counted.state, counted.counted, len(counted.targets)) == ("counted", 3, 2)
    later = await replay(ops, list_name="in", dry_run=True, since="2100-01-01T00:00:00Z")
    assert later.counted == 0
    assert set(ops.client.keys()) == before


async def test_entries_of_other_programs(ops: Operations) -> None:
    """Those without a reason are the cause `unknown`, and go through the same canary."""
    uuids = [await ops.ingest() for _ in range(3)]
    ops.client.rpush("DLQ:in", *uuids)
    await ops.workers.start(ops.configuration)
    done = await replay(ops, cause="unknown", canary=1)
    assert (done.state, done.replayed, done.canary_ended) == ("done", 3, 1)
    assert ops.list("DLQ:in") == []


async def test_what_cannot_be_queued_is_told(ops: Operations, plugins: Plugins) -> None:
    """A vCon in work stays, and the replay goes on past it."""
    [held, *_] = await failed(ops, plugins, "second", count=3)
    await ops.workers.start(ops.configuration)
    with ops.held(held):
        done = await replay(ops, cause="link second: OSError", canary=1)
    assert (done.state, done.replayed, done.left) == ("done", 2, 1)
    assert ops.list("DLQ:in") == [held]


async def test_a_limit(ops: Operations, plugins: Plugins) -> None:
    """The canary counts."""
    *_, last = await failed(ops, plugins, "second", count=3)
    await ops.workers.start(ops.configuration)
    done = await replay(ops, cause="link second: OSError", canary=1, limit=2)
    assert (done.state, done.replayed, ops.list("DLQ:in")) == ("done", 2, [last])


async def test_it_is_stopped_from_elsewhere(ops: Operations, plugins: Plugins) -> None:
    """While it waits for its canary; the record says by whom, and a later stop is refused."""
    await failed(ops, plugins, "second", count=3)
    desk, other = ReplayDesk(parts(ops)), ReplayDesk(parts(ops))
    begun = await replay(ops, desk, cause="link second: OSError", canary=1, wait=False)
    assert begun.state in ("running", "canary")
    await queued(ops, 1)
    seen = await other.stop(ReplayStop(id=begun.id), CALL)
    assert (seen.id, seen.counted) == (begun.id, 3)
    await asyncio.gather(*desk._tasks)
    [record] = (await other.replays(ReplaysQuery(), CALL)).replays
    assert (record.state, record.replayed, record.stale) == ("stopped", 1, False)
    assert "test: the vendor is back" in str(record.error)
    with pytest.raises(ConflictError, match="has ended: stopped"):
        await other.stop(ReplayStop(id=begun.id), CALL)
    with pytest.raises(UnknownNameError):
        await other.stop(ReplayStop(id="0" * 12), CALL)


async def test_a_canary_that_does_not_end(ops: Operations, plugins: Plugins) -> None:
    """After its time nothing more is queued; without a worker no run ends."""
    await failed(ops, plugins, "second", count=3)
    desk = ReplayDesk(parts(ops, canary_seconds=0.01))
    ended = await replay(ops, desk, cause="link second: OSError", canary=2)
    assert (ended.state, ended.replayed, ended.canary_ended) == ("canary failed", 2, 0)
    assert "is the chain working" in str(ended.error)


async def test_a_replay_that_is_cut_off(ops: Operations, plugins: Plugins) -> None:
    """Nothing is lost: each vCon is a dead letter or queued, and the same replay goes on."""
    uuids = await failed(ops, plugins, "second", count=6)
    desk = ReplayDesk(parts(ops))
    order = ReplayOrder(cause="link second: OSError", canary=2, rate=1, wait=True)
    cut = asyncio.create_task(desk.replay(order, CALL))
    await queued(ops, 2)
    cut.cancel()
    await asyncio.gather(cut, return_exceptions=True)
    assert sorted(ops.list("in") + ops.list("DLQ:in")) == sorted(uuids)
    [record] = (await desk.replays(ReplaysQuery(), CALL)).replays
    assert (record.state, record.replayed <= 2) == ("stopped", True)
    await ops.workers.start(ops.configuration)
    done = await replay(ops, cause="link second: OSError")
    assert (done.state, done.replayed) == ("done", 4)


async def test_the_process_stops(ops: Operations, plugins: Plugins) -> None:
    """A replay in the background ends with it; its record says so."""
    await failed(ops, plugins, "second")
    desk = ReplayDesk(parts(ops))
    await replay(ops, desk, list_name="in", wait=False)
    await queued(ops, 1)
    await desk.close()
    [record] = (await desk.replays(ReplaysQuery(), CALL)).replays
    assert (record.state, record.stale) == ("stopped", False)
    assert "its process stopped" in str(record.error)


async def test_a_cause_that_comes_back(
    ops: Operations, plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The canary was lucky: the rest ends once as many as the canary have failed again."""
    monkeypatch.setattr(replaying, "SAVED_SECONDS", 0.01)
    await failed(ops, plugins, "second", count=60)
    await ops.workers.start(ops.configuration)
    plugins.failing = {"second"}
    ended = await replay(ops, cause="link second: OSError", canary=0, rate=40)
    assert (ended.state, ended.replayed < 60) == ("failing again", True)


async def test_a_list_that_cannot_be_read(ops: Operations, plugins: Plugins) -> None:
    """It is named; the causes of the others are there, and can be replayed."""
    await failed(ops, plugins, "second")
    ops.client.set("pc:causes:DLQ:storage:shelf", "another program's")
    table = await causes(ops)
    assert [each.message for each in table.causes] == ["second is down"]
    [problem] = table.problems
    assert problem.startswith("DLQ:storage:shelf: ")
    assert (await replay(ops, cause="link second: OSError", canary=0)).state == "done"


async def test_a_record_of_another_type(ops: Operations, plugins: Plugins) -> None:
    """Nothing is replayed when no record can be kept."""
    [vcon_uuid] = await failed(ops, plugins, "second")
    ops.client.set(keys.REPLAYS, "another program's")
    with pytest.raises(UnusableKeyError, match=keys.REPLAYS):
        await replay(ops, list_name="in")
    assert ops.list("DLQ:in") == [vcon_uuid]


async def test_the_records_are_bounded(
    ops: Operations, plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last ones are listed, newest first; each record has a time to live."""
    monkeypatch.setattr(records, "MOST", 2)
    await failed(ops, plugins, "second")
    desk = ReplayDesk(parts(ops))
    begun = [await replay(ops, desk, list_name="in", canary=0, limit=1) for _ in range(3)]
    listed = (await desk.replays(ReplaysQuery(), CALL)).replays
    assert [each.id for each in listed] == [begun[2].id, begun[1].id]
    assert 0 < ops.client.ttl(keys.replay(begun[0].id)) <= records.KEPT_SECONDS
    assert (listed[0].by, listed[0].reason) == ("test", "the vendor is back")
