"""Owners of vCons: what a partner may replace, also after Redis has forgotten it."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from core.db.runs import RunHistory
from core.db.vcon_owners import VconOwners
from core.errors import UnavailableError
from tests.emptying import empty
from tests.integration.support.partner_scene import Apis
from tests.integration.support.pipeline_fixtures import PATIENCE, a_vcon, new_uuid


async def test_redis_forgetting_frees_no_uuid(apis: Apis):
    """The owner may push the vCon again, another partner may not."""
    await asyncio.to_thread(apis.key, "secret-1")
    await asyncio.to_thread(apis.key, "secret-2")
    vcon = a_vcon()
    assert await apis.code(vcon) == 200
    empty(apis.client)
    assert await apis.code(vcon, "secret-2") == 409
    assert apis.client.keys("vcon:*") == []
    assert await apis.code(vcon) == 200


async def test_a_full_list_leaves_the_uuid_to_others(apis: Apis):
    """503 claims nothing: the first partner that pushes when there is room again owns the vCon."""
    await asyncio.to_thread(apis.key, "secret-1")
    await asyncio.to_thread(apis.key, "secret-2")
    apis.client.rpush("customer_data", *range(100))
    vcon = a_vcon()
    assert await apis.code(vcon) == 503
    apis.client.delete("customer_data")
    assert await apis.code(vcon, "secret-2") == 200


async def test_what_came_in_by_our_own_door_is_not_for_partners(apis: Apis):
    """Not while Redis has it, not when Redis has forgotten it, not after a partner has tried."""
    await asyncio.to_thread(apis.key, "secret-1")
    queued, stored, deleted = (a_vcon()["uuid"] for _ in range(3))
    await apis.pipeline.internal.take(a_vcon(queued), ["customer_data"])
    for vcon_uuid in (stored, deleted):
        await apis.pipeline.internal.take(a_vcon(vcon_uuid), [])
    apis.client.delete(*(f"{kind}:{deleted}" for kind in ("vcon", "pc:about")))

    async def all_refused() -> bool:
        pushed = [a_vcon(each, subject="mine") for each in (queued, stored, deleted)]
        return [await apis.code(vcon) for vcon in pushed] == [409] * 3

    assert await all_refused()
    await apis.partners.owners.drain()
    assert await all_refused()
    assert "subject" not in apis.stored(stored)
    empty(apis.client)
    assert await all_refused()
    assert apis.client.keys("vcon:*") == []


async def test_our_own_door_needs_no_postgres(apis: Apis, database_settings):
    """Whose it is waits in Redis and is written down when Postgres is back."""
    await asyncio.to_thread(apis.key, "secret-1")
    apis.database.initialize(database_settings.model_copy(update={"postgres_port": 1}))
    vcon = a_vcon()
    await apis.pipeline.internal.take(vcon, [])
    with pytest.raises(UnavailableError):
        await apis.partners.owners.drain()
    apis.database.initialize(database_settings)
    await apis.partners.owners.drain()
    empty(apis.client)
    assert await apis.code(vcon) == 409


@pytest.mark.parametrize("forgotten", [False, True])
async def test_our_own_door_replaces_what_stays_a_partners(apis: Apis, forgotten: bool):
    """Only its owner may replace it again, also when Redis had forgotten it."""
    for secret in ("secret-1", "secret-2"):
        await asyncio.to_thread(apis.key, secret)
    vcon_uuid = new_uuid()
    assert await apis.code(a_vcon(vcon_uuid)) == 200
    await apis.partners.owners.drain()
    if forgotten:
        empty(apis.client)
    await apis.pipeline.internal.take(a_vcon(vcon_uuid, subject="ours"), [])
    for _ in range(2):
        assert await apis.code(a_vcon(vcon_uuid, subject="other"), "secret-2") == 409
        assert await apis.code(a_vcon(vcon_uuid, subject="theirs")) == 200
        await apis.partners.owners.drain()


async def test_who_is_turned_away_takes_nothing_from_who_was_let_in(
    apis: Apis, monkeypatch: pytest.MonkeyPatch
):
    """A full list turns the first request away, which gives its claim up after the second."""
    for secret in ("secret-1", "secret-2"):
        await asyncio.to_thread(apis.key, secret)
    apis.client.rpush("customer_data", *range(100))
    vcon, loop, release = a_vcon(), asyncio.get_running_loop(), VconOwners.release

    def late(owners: VconOwners, *claim: UUID) -> None:
        apis.client.delete("customer_data")
        second = asyncio.run_coroutine_threadsafe(apis.code(vcon), loop)
        assert second.result(PATIENCE) == 200
        release(owners, *claim)

    monkeypatch.setattr(VconOwners, "release", late)
    assert await apis.code(vcon) == 503
    monkeypatch.undo()
    assert await apis.code(vcon, "secret-2") == 409
    await apis.partners.owners.drain()
    empty(apis.client)
    assert await apis.code(vcon, "secret-2") == 409
    assert await apis.code(vcon) == 200


async def test_a_list_of_another_type_leaves_no_claim(apis: Apis):
    """Who is turned away with 503 has taken no uuid: another key may bring it in afterwards."""
    for secret in ("secret-1", "secret-2"):
        await asyncio.to_thread(apis.key, secret)
    apis.client.set("customer_data", "another program's")
    vcon = a_vcon()
    assert await apis.code(vcon) == 503
    apis.client.delete("customer_data")
    assert await apis.code(vcon, "secret-2") == 200


async def test_of_many_partners_at_once_one_gets_the_uuid(apis: Apis):
    """Eight keys push the same uuid: one is let in, and its content is what is stored."""
    secrets = [f"secret-{number}" for number in range(8)]
    for secret in secrets:
        await asyncio.to_thread(apis.key, secret)
    vcon_uuid = new_uuid()
    codes = await asyncio.gather(
        *(apis.code(a_vcon(vcon_uuid, subject=secret), secret) for secret in secrets)
    )
    assert sorted(codes) == [200] + [409] * 7
    assert apis.stored(vcon_uuid)["subject"] == secrets[codes.index(200)]


async def test_a_claim_left_behind_opens_nothing_that_runs_have_seen(apis: Apis):
    """A request broke off after its claim; another program queued the vCon, and Redis forgot it."""
    key = await asyncio.to_thread(apis.key, "secret-1")
    vcon = a_vcon()
    owners = apis.partners.records.owners
    assert owners.claim({UUID(vcon["uuid"]): key.lineage}) == {UUID(vcon["uuid"]): "new"}
    run = {
        "run_id": new_uuid(),
        "chain": "main",
        "config_hash": "",
        "status": "done",
        "vcon_in": vcon["uuid"],
        "vcon_out": vcon["uuid"],
        "attempts": 1,
        "steps": [],
    }
    RunHistory(apis.database).write_runs([run])
    assert await apis.code(vcon) == 409
    assert apis.client.keys("vcon:*") == []
