"""The partner's door, with real Redis and Postgres, through the action that offers it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from redis import Redis

from core.errors import UnavailableError
from core.ingress_keys import hashed
from core.ingress_owners import VconOwners
from core.settings import DatabaseSettings
from pipeline import partners
from pipeline.config import PipelineConfig
from pipeline.configuration import Configuration
from pipeline.connection import RedisConnection
from pipeline.modules import Guests
from tests.emptying import empty
from tests.integration.partner_scene import ADMIN, MOST, Street
from tests.integration.partner_scene import street as doors
from tests.integration.pipeline_fixtures import PATIENCE, a_vcon, new_uuid


@pytest.fixture
async def street(
    redis: RedisConnection, client: Redis, database_settings: DatabaseSettings
) -> AsyncIterator[Street]:
    """Doors without any key."""
    async with doors(redis, client, database_settings) as opened:
        yield opened


async def test_a_partner_pushes_to_its_list(street: Street):
    """200 with the uuid; the vCon is stored and queued there and nowhere else."""
    await asyncio.to_thread(street.key, "secret-1")
    vcon = a_vcon()
    answer = await street.push(vcon)
    assert (answer.status_code, answer.fields) == (200, {"uuid": vcon["uuid"]})
    assert street.client.lrange("customer_data", 0, -1) == [vcon["uuid"]]
    assert street.client.llen("support_calls") == 0
    assert await street.code(vcon) == 200
    assert street.client.llen("customer_data") == 1


@pytest.mark.parametrize(
    "name", ["support_calls", "nowhere", "DLQ:customer_data", "pc:workers", ""]
)
@pytest.mark.parametrize("vcon", [{}, [], None, "x"])
async def test_a_key_opens_no_other_list(street: Street, name: str, vcon: object):
    """403 in the same words whether the list exists or not, before the body is looked at."""
    await asyncio.to_thread(street.key, "secret-1")
    answer = await street.push(vcon, "secret-1", name)
    assert (answer.status_code, answer.message) == (
        403,
        f"Invalid API Key for ingress list '{name}'",
    )
    assert street.client.keys("*") == []


async def test_what_is_no_key_opens_nothing(street: Street):
    """Unknown, empty, revoked and expired keys: one answer for all."""
    revoked = await asyncio.to_thread(street.key, "revoked")
    await asyncio.to_thread(street.keys.revoke, revoked.id, ADMIN)
    await asyncio.to_thread(street.key, "expired", expires_in_days=-1)
    for secret in ("unknown", "", "revoked", "expired", "x" * 10_000):
        assert await street.code(a_vcon(), secret) == 403
    assert street.client.keys("*") == []


async def test_what_is_wrong_with_a_vcon_is_told(street: Street):
    """400 with every problem and its place; 413 beyond the size of the service or of the key."""
    await asyncio.to_thread(street.key, "secret-1")
    await asyncio.to_thread(lambda: street.key("small", max_vcon_bytes=300))
    answer = await street.push({"vcon": "0.4.0", "uuid": "../../x", "parties": "nobody"})
    assert answer.status_code == 400
    assert all(word in answer.message for word in ("uuid", "created_at", "parties"))
    assert [await street.code(vcon) for vcon in (None, [], "x", {})] == [400] * 4
    assert await street.code(a_vcon(subject="x" * MOST)) == 413
    assert await street.code(a_vcon(subject="x" * 300), "small") == 413
    assert street.client.keys("vcon:*") == []


async def test_a_partner_replaces_only_what_its_own_lineage_brought(street: Street):
    """A rotated key is the same owner; another key of the same list is not."""
    first = await asyncio.to_thread(street.key, "secret-1")
    await asyncio.to_thread(street.key, "secret-2")
    await asyncio.to_thread(street.keys.rotate, first.id, hashed("rotated"), 1, ADMIN)
    vcon = a_vcon()
    assert await street.code(vcon) == 200
    other = a_vcon(vcon["uuid"], subject="other")
    assert await street.code(other, "secret-2") == 409
    assert "subject" not in street.stored(vcon["uuid"])
    assert await street.code(other, "rotated") == 200
    assert street.stored(vcon["uuid"])["subject"] == "other"


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
    await street.own.take(a_vcon(queued), ["customer_data"])
    for vcon_uuid in (stored, deleted):
        await street.own.take(a_vcon(vcon_uuid), [])
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
    await street.own.take(vcon, [])
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
    await street.own.take(a_vcon(vcon_uuid, subject="ours"), [])
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


async def test_too_many_requests_are_told_how_long_to_wait(street: Street):
    """The limit holds for a lineage, over all its keys; another key is not touched by it."""
    key = await asyncio.to_thread(lambda: street.key("secret-1", requests_per_minute=3))
    await asyncio.to_thread(street.key, "secret-2")
    await asyncio.to_thread(street.keys.rotate, key.id, hashed("rotated"), 1, ADMIN)
    secrets = ("secret-1", "rotated", "secret-1", "rotated")
    answers = [await street.push(a_vcon(), secret) for secret in secrets]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    seconds = int(answers[-1].message.rpartition(" in ")[2].removesuffix(" s"))
    assert 1 <= seconds <= 60
    assert await street.code(a_vcon(), "secret-2") == 200
    [window] = [name for name in street.client.keys("pc:rate:*") if not name.endswith(":n")]
    for number in street.client.zrange(window, 0, -1):
        street.client.zincrby(window, -60_000, number)
    assert await street.code(a_vcon()) == 200


async def test_what_a_key_was_used_for_is_counted(street: Street):
    """Accepted, bytes, and what was refused by reason."""
    key = await asyncio.to_thread(lambda: street.key("secret-1", requests_per_minute=2))
    for vcon in (a_vcon(), {}, a_vcon()):
        await street.push(vcon)
    meter = street.partners.door.usage
    await meter.write()
    [usage] = await asyncio.to_thread(street.ledger.usage, key.id, None, None)
    assert (usage.accepted, usage.refused) == (1, {"invalid": 1, "rate_limited": 1})
    assert usage.bytes > 100
    await meter.write()
    assert await asyncio.to_thread(street.ledger.usage, key.id, None, None) == [usage]


async def test_keys_of_the_file_are_taken_over(street: Street):
    """At the start and after a change; what is gone from the file works no more."""
    for secret, code in (("file-key-1", 200), ("file-key-2", 200)):
        auth = {"customer_data": (secret,)}
        config = PipelineConfig(chains=street.configuration.config.chains, ingress_auth=auth)
        street.configuration.adopt(Configuration(config, Guests()))
        assert await street.partners._synced()
        assert await street.code(a_vcon(), secret) == code
    assert await street.code(a_vcon(), "file-key-1") == 403


async def test_until_the_keys_of_the_file_are_there_none_is_called_wrong(
    street: Street, monkeypatch: pytest.MonkeyPatch
):
    """503 right after the start and after a change; then the key opens its list."""
    config = PipelineConfig(
        chains=street.configuration.config.chains, ingress_auth={"customer_data": ("file-key-1",)}
    )
    street.configuration.adopt(Configuration(config, Guests()))
    street.partners.configuration_changed()
    monkeypatch.setattr(partners, "PATIENCE", 0.01)
    assert await street.code(a_vcon(), "file-key-1") == 503
    monkeypatch.setattr(partners, "PATIENCE", 20)
    waiting = asyncio.create_task(street.code(a_vcon(), "file-key-1"))
    await street.partners.take_over()
    assert await waiting == 200


async def test_without_postgres_no_door_is_open(street: Street, database_settings):
    """A key verified just before works on; any other is 503, right or wrong."""
    await asyncio.to_thread(street.key, "secret-1")
    await asyncio.to_thread(street.key, "secret-2")
    ring = street.partners.ring
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


async def test_nothing_secret_is_written_down(street: Street, redis_url: str):
    """Neither Redis nor Postgres has the key itself, nor has an answer."""
    key = await asyncio.to_thread(street.key, "canary-api-key-123456")
    answer = await street.push({"uuid": "x"}, "canary-api-key-123456")
    assert await street.code(a_vcon(), "canary-api-key-123456") == 200
    outsider = Redis.from_url(redis_url)
    held = [str(outsider.dump(name)) for name in outsider.keys("*")]
    outsider.close()
    with street.database.session() as session:
        tables = ("ingress_keys", "audit_events", "ingress_usage", "vcon_owners")
        for table in tables:
            held += map(str, session.connection().exec_driver_sql(f"SELECT * FROM {table}").all())
    assert str(key.id) in "".join(held)
    assert "canary-api-key-123456" not in "".join([*held, str(answer)])
