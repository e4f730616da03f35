"""The partner's door while Postgres is away."""

from __future__ import annotations

import asyncio
import threading

import pytest

from core.db.ingress_keys import IngressKeys
from core.db.vcon_owners import VconOwners
from tests.integration.support.partner_scene import Apis
from tests.integration.support.pipeline_fixtures import a_vcon, new_uuid


async def test_without_postgres_no_door_is_open(apis: Apis, database_settings):
    """A key verified just before works on; any other is 503, right or wrong."""
    await asyncio.to_thread(apis.key, "secret-1")
    await asyncio.to_thread(apis.key, "secret-2")
    ring = apis.partners.keys
    await ring.check("secret-1", ["customer_data"])
    nowhere = database_settings.model_copy(update={"postgres_port": 1})
    apis.database.initialize(nowhere)
    began = ring._clock()
    ring._clock = lambda: began + 50
    assert (await ring.check("secret-1", ["customer_data"])).ingress_list == "customer_data"
    assert await apis.code(a_vcon(), "secret-2") == 503
    assert await apis.code(a_vcon(), "wrong") == 503
    ring._clock = lambda: began + 70
    assert await apis.code(a_vcon()) == 503
    assert apis.client.keys("*") == []


async def test_without_postgres_a_partner_replaces_what_redis_knows_to_be_its_own(
    apis: Apis, database_settings
):
    """Whose any other uuid is, one that is new here too, cannot be told: 503, nothing changes."""
    for secret in ("secret-1", "secret-2"):
        await asyncio.to_thread(apis.key, secret)
    mine, other, ours = (new_uuid() for _ in range(3))
    assert await apis.code(a_vcon(mine)) == 200
    assert await apis.code(a_vcon(other), "secret-2") == 200
    await apis.pipeline.internal.take(a_vcon(ours), [])
    apis.database.initialize(database_settings.model_copy(update={"postgres_port": 1}))
    assert await apis.code(a_vcon(mine, subject="changed")) == 200
    assert apis.stored(mine)["subject"] == "changed"
    before = sorted(apis.client.keys("*"))
    for vcon_uuid in (other, ours, new_uuid()):
        answer = await apis.push(a_vcon(vcon_uuid, subject="changed"))
        assert (answer.status_code, "try again later" in answer.message) == (503, True)
    assert sorted(apis.client.keys("*")) == before
    apis.client.delete(f"vcon:{mine}", f"pc:about:{mine}", "pc:owners")
    assert await apis.code(a_vcon(mine)) == 503
    apis.database.initialize(database_settings)
    assert await apis.code(a_vcon(mine)) == 200


async def test_a_postgres_that_says_nothing_is_as_good_as_away(
    apis: Apis, monkeypatch: pytest.MonkeyPatch
):
    """Neither the look-up of a key nor that of an owner is waited for beyond its limit."""
    await asyncio.to_thread(apis.key, "secret-1")
    vcon, answer = a_vcon(), threading.Event()
    assert await apis.code(vcon) == 200
    apis.partners.calls.seconds = 0.05
    for part, name in ((IngressKeys, "find"), (VconOwners, "claim")):
        monkeypatch.setattr(part, name, lambda *_: answer.wait())
    ring = apis.partners.keys
    began = ring._clock()
    ring._clock = lambda: began + 50
    try:
        assert await apis.code(a_vcon(vcon["uuid"], subject="changed")) == 200
        assert await apis.code(a_vcon()) == 503
    finally:
        answer.set()
