"""Whose a vCon is, as rows of a real PostgreSQL, and how Redis' word reaches them."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from redis import Redis
from sqlalchemy import text

from core.db.database import Database
from core.db.runs import RunHistory
from core.db.vcon_owners import OURS, Claim, VconOwners
from core.errors import UnavailableError
from lib.vcon_redis import AsyncVconRedis
from pipeline.ingest import outboxes as module
from pipeline.ingest.outboxes import OwnerOutbox
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from tests.integration.support.pipeline_fixtures import Scene, a_vcon, configured, link


@pytest.fixture
def owners(migrated: Database) -> VconOwners:
    """The owners in that database."""
    return VconOwners(migrated)


def _claim(owners: VconOwners, vcon_uuid: UUID, lineage: UUID) -> Claim:
    return owners.claim({vcon_uuid: lineage})[vcon_uuid]


def a_run_on(migrated: Database, vcon_in: UUID, vcon_out: UUID) -> None:
    """A run that has ended long ago."""
    with migrated.transaction() as session:
        columns = "run_id, chain, config_hash, vcon_in, vcon_out, status, attempts, finished_at"
        values = (
            f"gen_random_uuid(), 'main', '', '{vcon_in}', '{vcon_out}', 'done', 1, '2020-01-01'"
        )
        session.execute(text(f"INSERT INTO chain_runs ({columns}) VALUES ({values})"))


def test_of_many_claims_at_once_one_counts(owners: VconOwners):
    """Ten lineages want the same uuid: it is new to one and foreign to nine."""
    vcon = uuid4()
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda _: _claim(owners, vcon, uuid4()), range(10)))
    assert sorted(outcomes) == ["foreign"] * 9 + ["new"]


def test_a_claim_lasts_until_it_is_released_by_its_owner(owners: VconOwners):
    """No other lineage can release it; an unconfirmed owner is still decided by Redis."""
    vcon, mine, other = uuid4(), uuid4(), uuid4()
    assert [_claim(owners, vcon, mine), _claim(owners, vcon, mine)] == ["new", "new"]
    owners.release(vcon, other)
    assert _claim(owners, vcon, other) == "foreign"
    owners.release(vcon, mine)
    assert _claim(owners, vcon, other) == "new"


def test_claims_of_one_call_are_decided_one_by_one(owners: VconOwners, migrated: Database):
    """A fresh one, one of another lineage, one of its own, one with runs."""
    fresh, theirs, ours, seen, left = (uuid4() for _ in range(5))
    mine, other = uuid4(), uuid4()
    owners.confirm({str(theirs): other, str(ours): mine})
    _claim(owners, left, mine)
    for each in (seen, left):
        a_run_on(migrated, each, uuid4())
    claims = owners.claim(dict.fromkeys((fresh, theirs, ours, seen, left), mine))
    assert claims == {
        fresh: "new",
        theirs: "foreign",
        ours: "mine",
        seen: "foreign",
        left: "seen",
    }
    with migrated.transaction() as session:
        rows = set(session.scalars(text("SELECT vcon_uuid FROM vcon_owners")))
    assert {fresh, theirs, ours, left} <= rows
    assert seen not in rows


def test_what_is_confirmed_stays(owners: VconOwners):
    """Redis' first word replaces a claim; neither a release nor a second word changes it."""
    vcon, mine, other = uuid4(), uuid4(), uuid4()
    _claim(owners, vcon, other)
    owners.confirm({str(vcon): mine})
    owners.confirm({str(vcon): OURS, str(uuid4()): OURS})
    owners.release(vcon, mine)
    assert [_claim(owners, vcon, mine), _claim(owners, vcon, other)] == ["mine", "foreign"]


def test_what_came_in_by_another_door_is_foreign(owners: VconOwners, migrated: Database):
    """Of which runs tell, also when these have been pruned."""
    came_in, came_out, theirs, lineage = (uuid4() for _ in range(4))
    owners.confirm({str(theirs): lineage})
    a_run_on(migrated, came_in, came_out)
    a_run_on(migrated, theirs, theirs)
    for _ in range(2):
        assert [_claim(owners, each, lineage) for each in (came_in, came_out)] == ["foreign"] * 2
        assert _claim(owners, theirs, lineage) == "mine"
        RunHistory(migrated).prune_runs(30)


def recorded(migrated: Database, vcon_in: UUID, vcon_out: UUID) -> None:
    """A run of long ago, as workers record it."""
    run = {
        "run_id": str(uuid4()),
        "chain": "main",
        "config_hash": "",
        "status": "done",
        "vcon_in": str(vcon_in),
        "vcon_out": str(vcon_out),
        "attempts": 1,
        "steps": [],
        "finished_at": "2020-01-01T00:00:00Z",
    }
    RunHistory(migrated).write_runs([run])


def test_what_runs_worked_on_stays_ours_without_the_runs(owners: VconOwners, migrated: Database):
    """Also where the runs are not pruned but deleted by hand; Redis' later word still counts."""
    came_in, came_out, theirs, lineage = (uuid4() for _ in range(4))
    recorded(migrated, came_in, came_out)
    recorded(migrated, theirs, theirs)
    with migrated.transaction() as session:
        session.execute(text("DELETE FROM chain_runs"))
    owners.confirm({str(theirs): lineage})
    claims = [_claim(owners, each, lineage) for each in (came_in, came_out, theirs)]
    assert claims == ["foreign", "foreign", "mine"]


@pytest.mark.parametrize("pruned", [False, True])
def test_a_claim_that_was_never_decided_gives_way_to_a_run(
    owners: VconOwners, migrated: Database, pruned: bool
):
    """A request that broke off left it behind; then another program queued that uuid."""
    vcon, lineage = uuid4(), uuid4()
    assert _claim(owners, vcon, lineage) == "new"
    recorded(migrated, vcon, vcon)
    if pruned:
        RunHistory(migrated).prune_runs(30)
    assert _claim(owners, vcon, lineage) == ("foreign" if pruned else "seen")


async def test_every_vcon_that_links_go_on_with_is_ours(scene: Scene, owners: VconOwners):
    """The first and the last stand in the run's record, those between in no record."""
    uuids = [str(uuid4()) for _ in range(3)]

    def going_on_with(vcon_uuid: str) -> Any:
        async def renames(*_: Any) -> str:
            await AsyncVconRedis().store_vcon_dict(a_vcon(vcon_uuid))
            return vcon_uuid

        return link(renames, f"to-{vcon_uuid}")

    await scene.start(configured(links=[going_on_with(each) for each in uuids]))
    await scene.feed()
    assert (await scene.ended()).status == "done"
    await OwnerOutbox(scene.redis, owners.confirm).drain()
    assert [_claim(owners, UUID(each), uuid4()) for each in uuids] == ["foreign"] * 3


async def test_owners_go_from_redis_to_postgres(
    redis: RedisConnection, client: Redis, monkeypatch: pytest.MonkeyPatch
):
    """In batches; while Postgres is away, and when another replica was quicker, nothing is lost."""
    monkeypatch.setattr(module, "BATCH", 2)
    lineage = uuid4()
    waiting = {str(uuid4()): OURS for _ in range(4)} | {str(uuid4()): lineage}
    for vcon, owner in waiting.items():
        client.hset(keys.OWNERS, vcon, "" if owner == OURS else str(owner))
    written: dict[str, UUID] = {}
    away = [UnavailableError()]

    def write(owners: dict[str, UUID]) -> None:
        if away:
            raise away.pop()
        assert len(owners) <= 2
        written.update(owners)

    outbox = OwnerOutbox(redis, write)  # type: ignore[arg-type]
    with pytest.raises(UnavailableError):
        await outbox.drain()
    assert client.hlen(keys.OWNERS) == 5
    await outbox.drain()
    assert written == waiting
    assert client.keys("*") == []


async def test_what_comes_meanwhile_waits_for_the_next_time(redis: RedisConnection, client: Redis):
    """One vCon after the other would otherwise keep it writing single rows for ever."""
    written: list[int] = []

    def write(owners: Mapping[str, UUID]) -> None:
        written.append(len(owners))
        client.hset(keys.OWNERS, str(uuid4()), "")

    client.hset(keys.OWNERS, str(uuid4()), "")
    for _ in range(2):
        await OwnerOutbox(redis, write).drain()
    assert written == [1, 1]
