"""`status`, `slow` and `partners` on the numbers of real runs, and on hostile ones."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from core.db.usage_and_audit import PartnerRecords, Used
from core.errors import UnknownNameError
from pipeline.admin.redis_checks import NAME
from pipeline.ingest.key_cache import hashed
from pipeline.minutes.backlog import BacklogSamples
from pipeline.minutes.counting import MinuteCounts, partner_source, run_sources
from pipeline.minutes.fields import Field
from pipeline.operator.numbers import partners
from pipeline.redis_client import keys
from schemas.ingress_key import Author, NewKey
from schemas.operator.partners import Partners
from schemas.operator.status import Status
from schemas.operator.steps import SlowSteps
from tests.held_day import hold_day
from tests.integration.support.pipeline_fixtures import Scene, configured, link, storage

if TYPE_CHECKING:
    from uuid import UUID

    from tests.integration.support.operator_scene import OperatorScene

HOSTILE = 'a "b" [red]\x1b[31m\n<b>'


def fails(_uuid: str, _options: Any) -> None:
    """A storage that is full."""
    raise OSError("full")


async def status(operator: OperatorScene, **arguments: Any) -> Status:
    """The status now."""
    found = await operator.perform("status", **arguments)
    assert isinstance(found, Status)
    return found


async def test_a_chain_that_moves(scene: Scene, operator: OperatorScene) -> None:
    """The configuration's own chain: counted, sampled, and without a worker alive."""
    chain = configured(ingress=("in", "second"), storages=[storage(fails, "files"), storage()])
    counts = MinuteCounts(scene.redis, run_sources())
    await BacklogSamples(scene.redis, chain).take()
    await scene.feed(count=6)
    await scene.start(chain)
    for _ in range(6):
        assert (await scene.finished()).status == "partial"
    await counts.flush()
    for crew in scene.crews:
        await crew.stop()
    await scene.feed("in", "second", count=3)
    found = await status(operator)
    [main] = found.chains
    assert (main.name, main.ended, main.failed) == ("main", 6, 6)
    assert main.waiting == 6
    assert main.in_per_minute is not None
    assert main.in_per_minute > main.out_per_minute > 0
    assert sum(each or 0 for each in main.series.came_in) == 6 + 6
    assert sum(main.series.ended) == 6
    assert main.p95_seconds
    assert {each.name: each.count for each in found.dead_letter_lists} == {"DLQ:storage:files": 6}
    assert found.dead_letters == 6
    causes = {cause.code: cause for cause in found.causes}
    assert found.level == "red"
    assert {"no_replica", "storage_failing", "failures"} <= causes.keys()
    assert causes["storage_failing"].command.endswith("failures --storage files")
    short = await status(operator, chain="main", series=False)
    assert short.chains[0].series.ended == []
    with pytest.raises(UnknownNameError):
        await status(operator, chain="other")


async def test_a_paused_chain_and_keys_of_other_programs(operator: OperatorScene) -> None:
    """Entries that are none of this service's change no number, and are told."""
    operator.redis.hset(keys.PAUSED, "main", '{"until": 32503680000000, "reason": "a release"}')
    operator.redis.rpush("in", "x")
    found = await status(operator)
    assert (found.chains[0].trend, found.chains[0].pause_reason) == ("paused", "a release")
    operator.redis.hset(keys.PAUSED, "main", '{"until": 1000}')
    assert (await status(operator)).chains[0].trend == "stuck"
    operator.redis.flushdb()
    for key in (keys.PAUSED, keys.PROCESSES, keys.HISTORY, keys.LATER, keys.WORKERS, "in"):
        operator.redis.set(key, "another program's")
    found = await status(operator)
    assert found.level == "red"
    assert "in" in found.redis.unusable
    assert any(cause.code == "foreign_key" for cause in found.causes)
    assert found.total.waiting == 0


async def test_dead_letters_that_another_program_put_there(operator: OperatorScene) -> None:
    """No run of the last hour left them: they are a cause of their own."""
    operator.redis.rpush("DLQ:in", *map(str, range(2000)))
    causes = {cause.code: cause for cause in (await status(operator)).causes}
    assert causes["dead_letters"].text.startswith("2,000 dead letters lie in DLQ:in; not all")


async def test_without_redis_the_status_is_red(
    operator: OperatorScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an answer, not an error; the exit code is that of a red status."""
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    found = await status(operator)
    assert (found.level, found.redis.reachable) == ("red", False)
    ran = await operator.cli("status")
    assert ran.code == 1
    assert "Redis cannot be used: REDIS_URL, 127.0.0.1:1: Redis cannot be reached" in ran.out


async def test_the_steps_by_their_share(scene: Scene, operator: OperatorScene) -> None:
    """Names of any characters; a step that fails is counted as failed."""

    def odd(vcon_uuid: str, _name: str, _opts: Any) -> str:
        return vcon_uuid

    def quick(vcon_uuid: str, _name: str, _opts: Any) -> str:
        return vcon_uuid

    counts = MinuteCounts(scene.redis, run_sources())
    chain = configured(links=[link(odd, HOSTILE), link(quick)], storages=[storage(fails, "s3")])
    await scene.feed(count=2)
    await scene.start(chain)
    for _ in range(2):
        await scene.finished()
    await counts.flush()
    found = await operator.perform("slow", minutes=1)
    assert isinstance(found, SlowSteps)
    assert {(each.kind, each.name): (each.calls, each.failed) for each in found.steps} == {
        ("link", HOSTILE): (2, 0),
        ("link", "quick"): (2, 0),
        ("storage", "s3"): (2, 2),
    }
    assert [each.seconds for each in found.steps] == sorted(
        (each.seconds for each in found.steps), reverse=True
    )
    assert sum(each.share for each in found.steps) == pytest.approx(1)
    limited = await operator.perform("slow", limit=1, chain="main")
    assert isinstance(limited, SlowSteps)
    assert (len(limited.steps), limited.more, limited.calls) == (1, 2, 6)
    with pytest.raises(UnknownNameError):
        await operator.perform("slow", chain="other")
    ran = await operator.cli("slow --since 1h")
    assert ran.code == 0
    assert "\x1b" not in ran.out


async def test_partners_today_beside_yesterday(
    scene: Scene, operator: OperatorScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row for a key and what replaced it; the hour is known before Postgres has it."""
    records = PartnerRecords(operator.database)
    author = Author(actor="test")
    first = records.keys.create(NewKey(ingress_list="in", label=HOSTILE), hashed("a"), author)
    second = records.keys.rotate(first.id, hashed("b"), 1, author)
    quiet = records.keys.create(NewKey(ingress_list="second", label="quiet"), hashed("c"), author)
    now = hold_day(monkeypatch, partners)
    yesterday = now - timedelta(days=1)
    records.ledger.add_usage(now.date(), {first.id: Used(now, 5, 500, {"invalid": 1})})
    records.ledger.add_usage(now.date(), {second.id: Used(now, 2, 200, {"invalid": 2})})
    records.ledger.add_usage(yesterday.date(), {first.id: Used(yesterday, 9, 900, {"full": 3})})
    recent: list[dict[tuple[UUID, str], int]] = [
        {},
        {(second.id, "accepted"): 2, (second.id, "bytes"): 200, (second.id, "conflict"): 1},
    ]
    await MinuteCounts(scene.redis, [partner_source(lambda: recent.pop(0))]).flush()
    found = await operator.perform("partners")
    assert isinstance(found, Partners)
    assert [each.label for each in found.partners] == [HOSTILE, "quiet"]
    row = found.partners[0]
    assert (row.lineage, row.keys, row.ingress_list) == (first.lineage, 2, "in")
    assert (row.today.accepted, row.today.bytes, row.today.refused) == (7, 700, {"invalid": 3})
    assert (row.yesterday.accepted, row.yesterday.refused) == (9, {"full": 3})
    assert (row.hour.accepted, row.hour.refused) == (2, {"conflict": 1})
    one = await operator.perform("partners", ingress_list="second")
    assert isinstance(one, Partners)
    assert [each.lineage for each in one.partners] == [quiet.lineage]
    ran = await operator.cli("partners")
    assert ran.code == 0
    assert "\x1b" not in ran.out
    assert "invalid 3" in ran.out


async def test_numbers_of_other_programs(operator: OperatorScene) -> None:
    """Fields that look like counters with absurd values do not break an answer."""
    now = int(operator.redis.time()[0]) // 60
    fields = {
        Field("run", "done", "inf", ("main",)).text: "999999999999999999",
        Field("run", "done", "us", ("main",)).text: "-999999999999999999",
        Field("link", "ok", "0.5", ("main",)).text: "-5",
        Field("link", "ok", "-1", ("main", "x")).text: "5",
        Field("waiting", "-", "n", ("in",)).text: "-7",
        Field("partner", "accepted", "n", ("no uuid",)).text: "3",
    }
    operator.redis.hset(keys.minute(now), mapping=fields)
    operator.redis.hset(keys.EPOCH, NAME, "x")
    assert (await status(operator)).chains[0].ended == 999999999999999999
    assert await operator.perform("slow")
    assert await operator.perform("partners")
    for line in ("status --json", "status", "slow --json", "slow", "partners"):
        assert (await operator.cli(line)).code in (0, 1)
