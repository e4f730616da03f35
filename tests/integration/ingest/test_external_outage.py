"""The partner's door while Postgres is away."""

from __future__ import annotations

import asyncio
import threading

import pytest

from core.db.ingress_keys import IngressKeys
from core.db.vcon_owners import VconOwners
from tests.integration.support.partner_scene import Street
from tests.integration.support.pipeline_fixtures import a_vcon, new_uuid


async def test_without_postgres_no_door_is_open(street: Street, database_settings):
    """A key verified just before works on; any other is 503, right or wrong."""
    await asyncio.to_thread(street.key, "secret-1")
    await asyncio.to_thread(street.key, "secret-2")
    ring = street.partners.keys
    await ring.check("secret-1", ["customer_data"])
    nowhere = database_settings.model_copy(update={"postgres_port": 1})
    street.database.initialize(nowhere)
    began = ring._clock()
    ring._clock = lambda: began + 50
    assert (await ring.check("secret-1", ["customer_data"])).ingress_list == "customer_data"
    assert await street.code(a_vcon(), "secret-2") == 503
    assert await street.code(a_vcon(), "wrong") == 503
    ring._clock = lambda: began + 70
    assert await street.code(a_vcon()) == 503
    assert street.client.keys("*") == []


async def test_without_postgres_a_partner_replaces_what_redis_knows_to_be_its_own(
    street: Street, database_settings
):
    """Whose any other uuid is, one that is new here too, cannot be told: 503, nothing changes."""
    for secret in ("secret-1", "secret-2"):
        await asyncio.to_thread(street.key, secret)
    mine, other, ours = (new_uuid() for _ in range(3))
    assert await street.code(a_vcon(mine)) == 200
    assert await street.code(a_vcon(other), "secret-2") == 200
    await street.pipeline.internal.take(a_vcon(ours), [])
    street.database.initialize(database_settings.model_copy(update={"postgres_port": 1}))
    assert await street.code(a_vcon(mine, subject="changed")) == 200
    assert street.stored(mine)["subject"] == "changed"
    before = sorted(street.client.keys("*"))
    for vcon_uuid in (other, ours, new_uuid()):
        answer = await street.push(a_vcon(vcon_uuid, subject="changed"))
        assert (answer.status_code, "try again later" in answer.message) == (503, True)
    assert sorted(street.client.keys("*")) == before
    street.client.delete(f"vcon:{mine}", f"pc:about:{mine}", "pc:owners")
    assert await street.code(a_vcon(mine)) == 503
    street.database.initialize(database_settings)
    assert await street.code(a_vcon(mine)) == 200


async def test_a_postgres_that_says_nothing_is_as_good_as_away(
    street: Street, monkeypatch: pytest.MonkeyPatch
):
    """Neither the look-up of a key nor that of an owner is waited for beyond its limit."""
    await asyncio.to_thread(street.key, "secret-1")
    vcon, answer = a_vcon(), threading.Event()
    assert await street.code(vcon) == 200
    street.partners._briefly.seconds = 0.05
    for part, name in ((IngressKeys, "find"), (VconOwners, "claim")):
        monkeypatch.setattr(part, name, lambda *_: answer.wait())
    ring = street.partners.keys
    began = ring._clock()
    ring._clock = lambda: began + 50
    try:
        assert await street.code(a_vcon(vcon["uuid"], subject="changed")) == 200
        assert await street.code(a_vcon()) == 503
    finally:
        answer.set()
