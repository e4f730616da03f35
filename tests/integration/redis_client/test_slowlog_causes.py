"""Dead letters by cause, with 100,000 in one list: no command keeps Redis from others for long."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from core.operator_interfaces import Call
from core.settings import Settings
from pipeline.admin import causes
from pipeline.admin.causes import CauseIndex
from pipeline.operator.causes.failures import FailureTable
from pipeline.operator.causes.replays import ReplayDesk
from schemas.ingress_key import Author
from schemas.operator.failures import FailuresQuery, ReplayOrder
from tests.integration.redis_client.slowlog_scene import Slowlog, slowlog, uuids_at
from tests.integration.support.pipeline_fixtures import configured

ENTRIES = 100_000
CALL = Call(Author(actor="test"), "a test")
REASON = orjson.dumps({"list_name": "in", "fingerprint": "c1", "error": "OSError: " + "x" * 400})
OLD = orjson.dumps(
    {"list_name": "in", "error": "OSError: " + "x" * 400, "cause": "link a: OSError"}
)


@pytest.fixture
async def log(redis_url: str) -> AsyncIterator[Slowlog]:
    """A chain from `in` to `out`."""
    async with slowlog(redis_url) as opened:
        opened.ops.configure(configured())
        yield opened


def parts(log: Slowlog) -> Any:
    """What the operations work with."""
    return SimpleNamespace(
        redis=log.ops.redis,
        configuration=log.ops.configuration,
        operations=log.ops.operations,
        archive=log.ops.operations._runs,
        settings=Settings.model_construct(replay_canary_seconds=10),
    )


def failed(log: Slowlog) -> None:
    """100,000 dead letters with one cause, each at another time."""
    log.fill("RPUSH", "DLQ:in", count=ENTRIES)
    log.fill("HSET", "pc:dead:DLQ:in", value=REASON.decode(), count=ENTRIES)
    log.fill("ZADD", "pc:cause:c1:DLQ:in", score=int, count=ENTRIES)
    log.ops.client.hset("pc:causes:DLQ:in", "c1", "{}")
    log.ops.client.sadd("pc:causes", "DLQ:in")


async def test_the_table_and_a_replay_of_one_cause(log: Slowlog) -> None:
    """The table needs four numbers; the replay takes its vCons out of the index, oldest first."""
    ops = log.ops

    async def look_and_replay() -> None:
        table = await FailureTable(parts(log)).failures(FailuresQuery(), CALL)
        assert [each.count for each in table.causes] == [ENTRIES]
        order = ReplayOrder(cause="c1", canary=0, rate=100_000, limit=1000, wait=True)
        done = await ReplayDesk(parts(log)).replay(order, CALL)
        assert (done.state, done.replayed) == ("done", 1000)
        assert ops.list("in") == uuids_at(*range(1, 1001))

    await log.check(look_and_replay, lambda: failed(log))


async def test_reasons_of_the_version_before(log: Slowlog, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are adopted in slices, and so is forgotten what that version has taken out."""
    monkeypatch.setattr(causes, "SLICES", 20)
    ops = log.ops

    def failed_before() -> None:
        failed(log)
        log.fill("HSET", "pc:dead:DLQ:storage:shelf", value=OLD.decode(), count=ENTRIES)
        for first in range(1, ENTRIES, 10_000):
            ops.client.hdel("pc:dead:DLQ:in", *uuids_at(*range(first, first + 10_000, 10)))

    async def tend() -> None:
        index = CauseIndex(ops.redis)
        await index.tend(["DLQ:in", "DLQ:storage:shelf"])
        assert (await index.causes("DLQ:in")).filed < ENTRIES
        assert (await index.causes("DLQ:storage:shelf")).filed >= 1000

    await log.check(tend, failed_before)
