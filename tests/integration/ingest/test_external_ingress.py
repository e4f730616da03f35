"""The partner's door, with real Redis and Postgres, through the action that offers it."""

from __future__ import annotations

import asyncio
import gzip
from base64 import b64encode

import orjson
import pytest
from redis import Redis

from core.errors import RateLimitedError
from pipeline.config.parser import PipelineConfig
from pipeline.ingest import outboxes
from pipeline.ingest.intake import Intake
from pipeline.ingest.key_cache import hashed
from pipeline.ingest.partners import KeyLimits
from pipeline.live_config import Configuration
from pipeline.plugins.loader import Plugins
from schemas.ingress_key import ConfiguredKey
from tests.held_day import hold_day
from tests.integration.support.partner_scene import ADMIN, MOST, Apis
from tests.integration.support.pipeline_fixtures import a_vcon


async def test_a_partner_pushes_to_its_list(apis: Apis):
    """200 with the uuid; the vCon is stored and queued there and nowhere else."""
    await asyncio.to_thread(apis.key, "secret-1")
    vcon = a_vcon()
    answer = await apis.push(vcon)
    assert (answer.status_code, answer.fields) == (200, {"uuid": vcon["uuid"]})
    assert apis.client.lrange("customer_data", 0, -1) == [vcon["uuid"]]
    assert apis.client.llen("support_calls") == 0
    assert await apis.code(vcon) == 200
    assert apis.client.llen("customer_data") == 1


@pytest.mark.parametrize(
    "name", ["support_calls", "nowhere", "DLQ:customer_data", "pc:workers", ""]
)
@pytest.mark.parametrize("vcon", [{}, [], None, "x"])
async def test_a_key_opens_no_other_list(apis: Apis, name: str, vcon: object):
    """403 in the same words whether the list exists or not, before the body is looked at."""
    await asyncio.to_thread(apis.key, "secret-1")
    answer = await apis.push(vcon, "secret-1", name)
    assert (answer.status_code, answer.message) == (
        403,
        f"Invalid API Key for ingress list '{name}'",
    )
    assert apis.client.keys("*") == []


async def test_what_is_no_key_opens_nothing(apis: Apis):
    """Unknown, empty, revoked and expired keys: one answer for all."""
    revoked = await asyncio.to_thread(apis.key, "revoked")
    await asyncio.to_thread(apis.keys.revoke, revoked.id, ADMIN)
    await asyncio.to_thread(apis.key, "expired", expires_in_days=-1)
    for secret in ("unknown", "", "revoked", "expired", "x" * 10_000):
        assert await apis.code(a_vcon(), secret) == 403
    assert apis.client.keys("*") == []


async def test_what_is_wrong_with_a_vcon_is_told(apis: Apis):
    """400 with every problem and its place; 413 beyond the size of the service or of the key."""
    await asyncio.to_thread(apis.key, "secret-1")
    await asyncio.to_thread(lambda: apis.key("small", max_vcon_bytes=300))
    answer = await apis.push({"vcon": "0.4.0", "uuid": "../../x", "parties": "nobody"})
    assert answer.status_code == 400
    assert all(word in answer.message for word in ("uuid", "created_at", "parties"))
    assert [await apis.code(vcon) for vcon in (None, [], "x", {})] == [400] * 4
    assert await apis.code(a_vcon(subject="x" * MOST)) == 413
    assert await apis.code(a_vcon(subject="x" * 300), "small") == 413
    assert apis.client.keys("vcon:*") == []


async def test_a_partner_may_push_gzip(apis: Apis):
    """In base64; unpacked it may be as large as any other. What is odd is told."""
    await asyncio.to_thread(apis.key, "secret-1")
    vcon = {name: value for name, value in a_vcon().items() if name != "vcon"}
    answer = await apis.push(b64encode(gzip.compress(orjson.dumps(vcon))).decode())
    assert answer.status_code == 200
    assert answer.fields == {"uuid": vcon["uuid"], "warnings": ["vcon: none, read as 0.4.0"]}
    assert apis.stored(vcon["uuid"]) == vcon | {"vcon": "0.4.0"}
    large = gzip.compress(orjson.dumps(a_vcon(subject="x" * MOST)))
    assert await apis.code(b64encode(large).decode()) == 413


async def test_a_partner_replaces_only_what_its_own_lineage_brought(apis: Apis):
    """A rotated key is the same owner; another key of the same list is not."""
    first = await asyncio.to_thread(apis.key, "secret-1")
    await asyncio.to_thread(apis.key, "secret-2")
    await asyncio.to_thread(apis.keys.rotate, first.id, hashed("rotated"), 1, ADMIN)
    vcon = a_vcon()
    assert await apis.code(vcon) == 200
    other = a_vcon(vcon["uuid"], subject="other")
    assert await apis.code(other, "secret-2") == 409
    assert "subject" not in apis.stored(vcon["uuid"])
    assert await apis.code(other, "rotated") == 200
    assert apis.stored(vcon["uuid"])["subject"] == "other"


async def test_too_many_requests_are_told_how_long_to_wait(apis: Apis):
    """The limit holds for a lineage, over all its keys; another key is not touched by it."""
    key = await asyncio.to_thread(lambda: apis.key("secret-1", requests_per_minute=3))
    await asyncio.to_thread(apis.key, "secret-2")
    await asyncio.to_thread(apis.keys.rotate, key.id, hashed("rotated"), 1, ADMIN)
    secrets = ("secret-1", "rotated", "secret-1", "rotated")
    answers = [await apis.push(a_vcon(), secret) for secret in secrets]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    seconds = int(answers[-1].message.rpartition(" in ")[2].removesuffix(" s"))
    assert 1 <= seconds <= 60
    with pytest.raises(RateLimitedError) as refused:
        await apis.partners.api.take(a_vcon(), ["customer_data"], "rotated")
    assert 1 <= refused.value.retry_after <= 60
    assert await apis.code(a_vcon(), "secret-2") == 200
    [window] = [name for name in apis.client.keys("pc:rate:*") if not name.endswith(":n")]
    for number in apis.client.zrange(window, 0, -1):
        apis.client.zincrby(window, -60_000, number)
    assert await apis.code(a_vcon()) == 200


async def test_what_a_key_was_used_for_is_counted(apis: Apis, monkeypatch: pytest.MonkeyPatch):
    """Accepted, bytes, and what was refused by reason."""
    hold_day(monkeypatch, outboxes)
    key = await asyncio.to_thread(lambda: apis.key("secret-1", requests_per_minute=3))
    busy = a_vcon()
    await apis.push(busy)
    apis.client.hset("pc:locks", busy["uuid"], "a run")
    for vcon in (busy | {"subject": "x"}, {}, a_vcon()):
        await apis.push(vcon)
    meter = apis.partners.api.usage
    await meter.write()
    [usage] = await asyncio.to_thread(apis.ledger.usage, key.id, None, None)
    assert (usage.accepted, usage.refused) == (1, {"conflict": 1, "invalid": 1, "rate_limited": 1})
    assert usage.bytes > 100
    await meter.write()
    assert await asyncio.to_thread(apis.ledger.usage, key.id, None, None) == [usage]


async def test_a_key_without_a_limit_has_the_services(apis: Apis):
    """All keys of a lineage share it; one with a limit of its own has that."""
    apis.partners.limits = KeyLimits(requests_per_minute=2)
    apis.partners.build_api(MOST, Intake(apis.partners._redis, sorted_set="vcons", max_depth=9))
    apis.require_key(required=False)
    apis.key("secret-1")
    apis.key("secret-2", requests_per_minute=3)
    codes = [await apis.code(a_vcon(), f"secret-{n}") for n in (1, 2) for _ in range(4)]
    assert codes == [200, 200, 429, 429, 200, 200, 200, 429]


async def test_labels_and_limits_of_the_file_are_taken_over(apis: Apis):
    """And changed with it, without a new key."""
    auth = {"customer_data": ("file-key-1-of-acme",)}
    for label, most in (("Acme", 1), ("Acme Inc", 2)):
        told = {"file-key-1-of-acme": ConfiguredKey(label=label, requests_per_minute=most)}
        chains = apis.configuration.config.chains
        config = PipelineConfig(chains=chains, ingress_auth=auth, ingress_keys=told)
        apis.configuration.adopt(Configuration(config, Plugins()))
        assert await apis.partners._synced()
        [key] = await asyncio.to_thread(apis.keys.all, None)
        assert (key.label, key.requests_per_minute) == (label, most)
    assert [await apis.code(a_vcon(), "file-key-1-of-acme") for _ in range(3)] == [200, 200, 429]


async def test_keys_of_the_file_are_taken_over(apis: Apis):
    """At the start and after a change; what is gone from the file works no more."""
    for secret, code in (("file-key-1", 200), ("file-key-2", 200)):
        auth = {"customer_data": (secret,)}
        config = PipelineConfig(chains=apis.configuration.config.chains, ingress_auth=auth)
        apis.configuration.adopt(Configuration(config, Plugins()))
        assert await apis.partners._synced()
        assert await apis.code(a_vcon(), secret) == code
    assert await apis.code(a_vcon(), "file-key-1") == 403


async def test_until_the_keys_of_the_file_are_there_none_is_called_wrong(
    apis: Apis, monkeypatch: pytest.MonkeyPatch
):
    """503 right after the start and after a change; then the key opens its list."""
    config = PipelineConfig(
        chains=apis.configuration.config.chains, ingress_auth={"customer_data": ("file-key-1",)}
    )
    apis.configuration.adopt(Configuration(config, Plugins()))
    apis.partners.configuration_changed()
    apis.partners.limits = KeyLimits(sync_seconds=0.01)
    assert await apis.code(a_vcon(), "file-key-1") == 503
    apis.partners.limits = KeyLimits(sync_seconds=20)
    waiting = asyncio.create_task(apis.code(a_vcon(), "file-key-1"))
    await apis.partners.take_over()
    assert await waiting == 200


async def test_nothing_secret_is_written_down(apis: Apis, redis_url: str):
    """Neither Redis nor Postgres has the key itself, nor has an answer."""
    key = await asyncio.to_thread(apis.key, "canary-api-key-123456")
    answer = await apis.push({"uuid": "x"}, "canary-api-key-123456")
    assert await apis.code(a_vcon(), "canary-api-key-123456") == 200
    outsider = Redis.from_url(redis_url)
    held = [str(outsider.dump(name)) for name in outsider.keys("*")]
    outsider.close()
    with apis.database.session() as session:
        tables = ("ingress_keys", "audit_events", "ingress_usage", "vcon_owners")
        for table in tables:
            held += map(str, session.connection().exec_driver_sql(f"SELECT * FROM {table}").all())
    assert str(key.id) in "".join(held)
    assert "canary-api-key-123456" not in "".join([*held, str(answer)])
