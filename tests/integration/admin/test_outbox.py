"""Finished runs on their way from Redis into Postgres, both of them real."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

import orjson
import pytest
from redis import Redis
from sqlalchemy import text

from core.concurrency.backoff import Backoff
from core.db.database import Database
from core.db.runs import RunHistory
from core.errors import UnavailableError
from core.observability.metrics import RUN_HISTORY_DROPPED
from pipeline.admin import run_archive as module
from pipeline.admin.run_archive import RunArchive, RunOutbox
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from schemas.run import Run
from tests.integration.support.pipeline_fixtures import (
    PATIENCE,
    Scene,
    configured,
    link,
    postgres_calls,
    storage,
)

SHORT_WAITS = Backoff(first=0.001, cap=0.001)


def a_run(**changes: Any) -> Run:
    """A finished run."""
    values = {
        "run_id": str(uuid4()),
        "chain": "main",
        "vcon_in": str(uuid4()),
        "vcon_out": str(uuid4()),
        "status": "done",
        "started_at": "2026-11-21T12:00:00Z",
        "finished_at": "2026-11-21T12:00:01Z",
    }
    return Run.model_validate(values | changes)


@pytest.fixture
def archive(migrated: Database) -> RunArchive:
    """The history in that database."""
    return RunArchive(RunHistory(migrated), postgres_calls())


@pytest.fixture
def little_memory(client: Redis) -> Iterator[None]:
    """Redis has used up nearly all that it may."""
    used = int(client.info("memory")["used_memory"])
    client.config_set("maxmemory", int(used * 1.05))
    yield
    client.config_set("maxmemory", 0)


def put(client: Redis, *runs: Run) -> None:
    """These runs wait to be written."""
    client.rpush(keys.HISTORY, *(run.model_dump_json() for run in runs))


def written(migrated: Database) -> int:
    """How many runs Postgres has."""
    with migrated.session() as session:
        return session.scalar(text("SELECT count(*) FROM chain_runs"))


async def test_what_a_worker_finishes_is_found_in_postgres(
    scene: Scene, archive: RunArchive, migrated: Database
):
    """A run goes all the way, and says there what it said in Redis."""
    await scene.start(
        configured(links=[link(lambda vcon_uuid, *_: vcon_uuid, "tag")], storages=[storage()])
    )
    await scene.feed(count=3)
    endings = [await scene.ended() for _ in range(3)]
    assert await RunOutbox(scene.redis, archive.write_runs, 200_000).drain() == 3
    for ended in endings:
        remembered = await archive.find_run(ended.claim.run_id)
        assert remembered == Run.model_validate(scene.journal(ended.claim.run_id))
    assert scene.elements(keys.HISTORY) == []
    assert written(migrated) == 3


async def test_there_is_nothing_to_drain(redis: RedisConnection):
    """An empty list is no batch, and nothing is written."""

    async def write(_runs: Sequence[dict[str, Any]], _notes: Sequence[str]) -> None:
        raise AssertionError

    assert await RunOutbox(redis, write, 200_000).drain() == 0


async def test_batches_come_in_order_and_are_bounded(
    redis: RedisConnection, client: Redis, monkeypatch: pytest.MonkeyPatch
):
    """Oldest first, so many at a time, until nothing is left."""
    monkeypatch.setattr(module, "BATCH", 4)
    runs = [a_run() for _ in range(10)]
    put(client, *runs)
    batches: list[list[str]] = []

    async def write(batch: Sequence[dict[str, Any]], _notes: Sequence[str]) -> None:
        batches.append([run["run_id"] for run in batch])

    outbox = RunOutbox(redis, write, 200_000)
    assert [await outbox.drain() for _ in range(4)] == [4, 4, 2, 0]
    assert [run_id for batch in batches for run_id in batch] == [run.run_id for run in runs]


async def test_batches_are_bounded_by_bytes(redis: RedisConnection, client: Redis) -> None:
    """500 long notes would be an answer of 32 MB, which holds Redis up; one note is always read."""
    notes = [f"{number:03}" + "x" * 64_000 for number in range(60)]
    notes[30] += "x" * 2 * module.BATCH_BYTES
    client.rpush(keys.INDEX, *notes)
    batches: list[Sequence[str]] = []

    async def write(_runs: Sequence[dict[str, Any]], some: Sequence[str]) -> None:
        batches.append(some)

    await RunOutbox(redis, write, 200_000).drain_waiting()
    assert [note for batch in batches for note in batch] == notes
    assert all(sum(map(len, batch[:-1])) < module.BATCH_BYTES for batch in batches)
    assert client.exists(keys.INDEX) == 0


async def test_postgres_being_away_loses_nothing(
    redis: RedisConnection,
    client: Redis,
    archive: RunArchive,
    migrated: Database,
):
    """While it cannot be written the runs stay in Redis, in order; then all are written."""
    away, tried = True, asyncio.Event()

    async def write(runs: Sequence[dict[str, Any]], _notes: Sequence[str]) -> None:
        if away:
            tried.set()
            raise UnavailableError
        await archive.write_runs(runs)
        done.set()

    done = asyncio.Event()
    runs = [a_run() for _ in range(5)]
    put(client, *runs)
    outbox = RunOutbox(redis, write, 200_000, SHORT_WAITS)
    with pytest.raises(UnavailableError):
        await outbox.drain()
    assert len(client.lrange(keys.HISTORY, 0, -1)) == 5
    tried.clear()
    draining = asyncio.create_task(outbox.run())
    async with asyncio.timeout(PATIENCE):
        await tried.wait()
        away = False
        await done.wait()
    draining.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await draining
    assert written(migrated) == 5


async def test_history_is_kept_while_redis_has_room(
    redis: RedisConnection, client: Redis, caplog: pytest.LogCaptureFixture
):
    """All waiting runs are kept, also beyond the limit; one line is logged."""

    async def write(_runs: Sequence[dict[str, Any]], _notes: Sequence[str]) -> None:
        raise UnavailableError("Postgres: connection refused")

    put(client, *(a_run() for _ in range(5)))
    await RunOutbox(redis, write, 3).bound()
    assert client.llen(keys.HISTORY) == 5
    assert not caplog.records


async def test_what_waits_is_bounded_when_redis_lacks_memory(
    redis: RedisConnection,
    client: Redis,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    little_memory: None,
):
    """The oldest runs are given up, which is logged and counted; the newest are kept."""
    given_up = RUN_HISTORY_DROPPED._value.get()
    monkeypatch.setattr(module, "CHUNK", 1)
    again = asyncio.Semaphore(0)

    async def write(_runs: Sequence[dict[str, Any]], _notes: Sequence[str]) -> None:
        again.release()
        raise UnavailableError

    runs = [a_run() for _ in range(5)]
    put(client, *runs)
    draining = asyncio.create_task(RunOutbox(redis, write, 3, SHORT_WAITS).run())
    async with asyncio.timeout(PATIENCE):
        await again.acquire()
        await again.acquire()
    draining.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await draining
    left = [orjson.loads(each)["run_id"] for each in client.lrange(keys.HISTORY, 0, -1)]
    assert left == [run.run_id for run in runs[2:]]
    assert RUN_HISTORY_DROPPED._value.get() - given_up == 2
    told = [(record.getMessage(), getattr(record, "count", None)) for record in caplog.records]
    assert ("run history given up", 2) in told
    assert [message for message, _ in told].count("run-history flush postponed") == 1


async def test_a_real_postgres_that_is_gone_is_only_unavailable(
    redis: RedisConnection, client: Redis, database_settings: Any
):
    """The port has no listener: the runs stay in Redis."""
    nowhere = Database()
    nowhere.initialize(database_settings.model_copy(update={"postgres_port": 1}))
    put(client, a_run())
    with pytest.raises(UnavailableError):
        await RunOutbox(
            redis, RunArchive(RunHistory(nowhere), postgres_calls()).write_runs, 9
        ).drain()
    nowhere.close()
    assert client.llen(keys.HISTORY) == 1


async def test_two_drainers_at_once_write_each_run_once(
    redis: RedisConnection,
    client: Redis,
    archive: RunArchive,
    migrated: Database,
    monkeypatch: pytest.MonkeyPatch,
):
    """Replicas do not coordinate: in the end each run is there once, and none is left over."""
    monkeypatch.setattr(module, "BATCH", 7)
    runs = [a_run() for _ in range(60)]
    put(client, *runs)
    outboxes = [RunOutbox(redis, archive.write_runs, 200_000) for _ in range(2)]

    async def drain(outbox: RunOutbox) -> None:
        while await outbox.drain():
            pass

    await asyncio.gather(*(drain(outbox) for outbox in outboxes))
    assert client.llen(keys.HISTORY) == 0
    assert written(migrated) == 60


async def test_a_drainer_that_is_late_drops_nothing(redis: RedisConnection, client: Redis):
    """When another replica has dropped the batch meanwhile, what has come since stays."""
    put(client, a_run(), a_run())
    newer = a_run()

    async def write(runs: Sequence[dict[str, Any]], _notes: Sequence[str]) -> None:
        client.delete(keys.HISTORY)  # what the other replica did
        put(client, newer)

    await RunOutbox(redis, write, 200_000).drain()
    [left] = client.lrange(keys.HISTORY, 0, -1)
    assert orjson.loads(left)["run_id"] == newer.run_id


async def test_a_run_that_no_row_can_hold_is_left_out(
    redis: RedisConnection,
    client: Redis,
    archive: RunArchive,
    migrated: Database,
    caplog: pytest.LogCaptureFixture,
):
    """One bad run holds up neither its batch nor those after it, and is named in the log."""
    good, bad = a_run(), a_run()
    broken = bad.model_dump(mode="json") | {"attempts": 10**12}
    put(client, good)
    client.rpush(keys.HISTORY, orjson.dumps(broken))
    put(client, a_run())
    assert await RunOutbox(redis, archive.write_runs, 200_000).drain() == 3
    assert written(migrated) == 2
    assert client.llen(keys.HISTORY) == 0
    assert any(record.__dict__.get("run") == bad.run_id for record in caplog.records)


async def test_partitions_that_cannot_be_made_are_reported(
    archive: RunArchive,
    migrated: Database,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Such as of a table that another session locks."""
    monkeypatch.setattr("core.db.partitions._TRIED_FOR", 0.0)
    with migrated.session() as session:
        session.execute(text("LOCK TABLE chain_runs IN SHARE MODE"))
        with pytest.raises(UnavailableError):
            await archive.keep_partitions({"chain_runs": 30})
    assert [record.message for record in caplog.records] == ["partitions not kept"]
