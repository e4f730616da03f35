"""Whose a vCon is: what a partner may replace, whatever Redis remembers."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from core.db.runs import RunHistory
from core.db.vcon_owners import VconOwners
from core.errors import UnavailableError
from tests.emptying import empty
from tests.integration.support.partner_scene import Street
from tests.integration.support.pipeline_fixtures import PATIENCE, a_vcon, new_uuid


async def test_redis_forgetting_frees_no_uuid(street: Street):
    """The owner may bring the vCon again, somebody else may not."""
    await asyncio.to_thread(street.key, "secret-1")
    await asyncio.to_thread(street.key, "secret-2")
    vcon = a_vcon()
    assert await street.code(vcon) == 200
    empty(street.client)
    assert await street.code(vcon, "secret-2") == 409
    assert street.client.keys("vcon:*") == []
    assert await street.code(vcon) == 200


async def test_a_full_list_leaves_the_uuid_to_others(street: Street):
    """503 takes nothing: whoever comes first when there is room again owns it."""
    await asyncio.to_thread(street.key, "secret-1")
    await asyncio.to_thread(street.key, "secret-2")
    street.client.rpush("customer_data", *range(100))
    vcon = a_vcon()
    assert await street.code(vcon) == 503
    street.client.delete("customer_data")
    assert await street.code(vcon, "secret-2") == 200


async def test_what_came_in_by_our_own_door_is_not_for_partners(street: Street):
    """Not while Redis has it, not when Redis has forgotten it, not after a partner has tried."""
    await asyncio.to_thread(street.key, "secret-1")
    queued, stored, deleted = (a_vcon()["uuid"] for _ in range(3))
    await street.pipeline.internal.take(a_vcon(queued), ["customer_data"])
    for vcon_uuid in (stored, deleted):
        await street.pipeline.internal.take(a_vcon(vcon_uuid), [])
    street.client.delete(*(f"{kind}:{deleted}" for kind in ("vcon", "pc:about")))

    async def all_refused() -> bool:
        pushed = [a_vcon(each, subject="mine") for each in (queued, stored, deleted)]
        return [await street.code(vcon) for vcon in pushed] == [409] * 3

    assert await all_refused()
    await street.partners.owners.drain()
    assert await all_refused()
    assert "subject" not in street.stored(stored)
    empty(street.client)
    assert await all_refused()
    assert street.client.keys("vcon:*") == []


async def test_our_own_door_needs_no_postgres(street: Street, database_settings):
    """Whose it is waits in Redis and is written down when Postgres is back."""
    await asyncio.to_thread(street.key, "secret-1")
    street.database.initialize(database_settings.model_copy(update={"postgres_port": 1}))
    vcon = a_vcon()
    await street.pipeline.internal.take(vcon, [])
    with pytest.raises(UnavailableError):
        await street.partners.owners.drain()
    street.database.initialize(database_settings)
    await street.partners.owners.drain()
    empty(street.client)
    assert await street.code(vcon) == 409


@pytest.mark.parametrize("forgotten", [False, True])
async def test_our_own_door_replaces_what_stays_a_partners(street: Street, forgotten: bool):
    """Its owner may replace it again, and nobody else, also when Redis had forgotten it."""
    for secret in ("secret-1", "secret-2"):
        await asyncio.to_thread(street.key, secret)
    vcon_uuid = new_uuid()
    assert await street.code(a_vcon(vcon_uuid)) == 200
    await street.partners.owners.drain()
    if forgotten:
        empty(street.client)
    await street.pipeline.internal.take(a_vcon(vcon_uuid, subject="ours"), [])
    for _ in range(2):
        assert await street.code(a_vcon(vcon_uuid, subject="other"), "secret-2") == 409
        assert await street.code(a_vcon(vcon_uuid, subject="theirs")) == 200
        await street.partners.owners.drain()


async def test_who_is_turned_away_takes_nothing_from_who_was_let_in(
    street: Street, monkeypatch: pytest.MonkeyPatch
):
    """A full list turns the first request away, which gives its claim up after the second."""
    for secret in ("secret-1", "secret-2"):
        await asyncio.to_thread(street.key, secret)
    street.client.rpush("customer_data", *range(100))
    vcon, loop, release = a_vcon(), asyncio.get_running_loop(), VconOwners.release

    def late(owners: VconOwners, *claim: UUID) -> None:
        street.client.delete("customer_data")
        second = asyncio.run_coroutine_threadsafe(street.code(vcon), loop)
        assert second.result(PATIENCE) == 200
        release(owners, *claim)

    monkeypatch.setattr(VconOwners, "release", late)
    assert await street.code(vcon) == 503
    monkeypatch.undo()
    assert await street.code(vcon, "secret-2") == 409
    await street.partners.owners.drain()
    empty(street.client)
    assert await street.code(vcon, "secret-2") == 409
    assert await street.code(vcon) == 200


async def test_a_list_of_another_type_leaves_no_claim(street: Street):
    """Who is turned away with 503 has taken no uuid: another key may bring it in afterwards."""
    for secret in ("secret-1", "secret-2"):
        await asyncio.to_thread(street.key, secret)
    street.client.set("customer_data", "another program's")
    vcon = a_vcon()
    assert await street.code(vcon) == 503
    street.client.delete("customer_data")
    assert await street.code(vcon, "secret-2") == 200


async def test_of_many_partners_at_once_one_gets_the_uuid(street: Street):
    """Eight keys push the same uuid: one is let in, and its content is what is stored."""
    secrets = [f"secret-{number}" for number in range(8)]
    for secret in secrets:
        await asyncio.to_thread(street.key, secret)
    vcon_uuid = new_uuid()
    codes = await asyncio.gather(
        *(street.code(a_vcon(vcon_uuid, subject=secret), secret) for secret in secrets)
    )
    assert sorted(codes) == [200] + [409] * 7
    assert street.stored(vcon_uuid)["subject"] == secrets[codes.index(200)]


async def test_a_claim_left_behind_opens_nothing_that_runs_have_seen(street: Street):
    """A request broke off after its claim; another program queued the vCon, and Redis forgot it."""
    key = await asyncio.to_thread(street.key, "secret-1")
    vcon = a_vcon()
    owners = street.partners.records.owners
    assert owners.claim(UUID(vcon["uuid"]), key.lineage) == "new"
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
    RunHistory(street.database).write_runs([run])
    assert await street.code(vcon) == 409
    assert street.client.keys("vcon:*") == []
