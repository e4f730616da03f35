"""A key at our own door, given or required: it is worth there what it is at the partners' door."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis import Redis

from core.settings import DatabaseSettings
from pipeline.redis_client.client import RedisConnection
from tests.integration.support.partner_scene import ACTIONS, Apis, opened_apis
from tests.integration.support.pipeline_fixtures import a_vcon


@pytest.fixture
async def apis(
    redis: RedisConnection, client: Redis, database_settings: DatabaseSettings
) -> AsyncIterator[Apis]:
    """Both APIs with a key to each list."""
    async with opened_apis(redis, client, database_settings) as opened:
        await asyncio.to_thread(opened.key, "secret-1")
        await asyncio.to_thread(opened.key, "secret-2", "support_calls")
        yield opened


@pytest.mark.parametrize("required", [False, True])
async def test_a_key_opens_its_list_and_no_other(apis: Apis, required: bool):
    """In the same words for an unknown list; the key is looked at before lists and vCon are."""
    apis.require_key(required=required)
    for name in ("support_calls", "nowhere"):
        for lists in ([name], ["customer_data", name]):
            for vcon in (a_vcon(), {}):
                answer = await apis.ingest(vcon, *lists, api_key="secret-1")
                told = f"Invalid API Key for ingress list '{name}'"
                assert (answer.status_code, answer.message) == (403, told)
    for lists in ([], ["nowhere"]):
        for secret in ("wrong", ""):
            answer = await apis.ingest({}, *lists, api_key=secret)
            assert answer.status_code == 403
            assert "customer_data" not in answer.message
    assert apis.client.keys("*") == []
    answer = await apis.ingest(a_vcon(), "customer_data", "customer_data", api_key="secret-1")
    assert answer.status_code == 201


async def test_a_required_key_must_be_given(apis: Apis):
    """A request without a key gets the same answer for every list, and without lists."""
    apis.require_key()
    for lists in (["customer_data"], ["nowhere"], []):
        assert (await apis.ingest(a_vcon(), *lists)).status_code == 403
    assert apis.client.keys("*") == []


async def test_a_key_needs_a_list(apis: Apis):
    """400: a key is for pushing to its list, and without one there is nothing that it opens."""
    answer = await apis.ingest(a_vcon(), api_key="secret-1")
    assert (answer.status_code, "ingress_lists: " in answer.message) == (400, True)
    assert apis.client.keys("vcon:*") == []


async def test_only_what_is_the_keys_own_is_replaced(apis: Apis):
    """409 for a vCon of another lineage, or of a caller without a key."""
    theirs, ours = a_vcon(), a_vcon()
    assert (await apis.ingest(theirs, "support_calls", api_key="secret-2")).status_code == 201
    assert (await apis.ingest(ours, "customer_data")).status_code == 201
    for vcon in (theirs, ours):
        other = a_vcon(vcon["uuid"], subject="mine now")
        answer = await apis.ingest(other, "customer_data", api_key="secret-1")
        assert answer.status_code == 409
        assert "subject" not in apis.stored(vcon["uuid"])


async def test_a_keys_limits_hold_and_its_use_is_counted(apis: Apis):
    """Size and requests a minute; also when a living key is tried on another's list."""
    key = await asyncio.to_thread(
        lambda: apis.key("small", requests_per_minute=2, max_vcon_bytes=400)
    )
    vcons = (a_vcon(), a_vcon(subject="x" * 400), a_vcon())
    answers = [await apis.ingest(vcon, "customer_data", api_key="small") for vcon in vcons]
    assert [answer.status_code for answer in answers] == [201, 413, 429]
    assert await apis.code(a_vcon(), "small", "support_calls") == 403
    await apis.partners.api.usage.write()
    [usage] = await asyncio.to_thread(apis.ledger.usage, key.id, None, None)
    assert usage.refused == {"too_large": 1, "rate_limited": 1, "forbidden": 1}
    assert usage.accepted == 1


def test_no_other_action_looks_at_a_key():
    """Where all are offered a key opens none of them: callers of the service need no key."""
    fields = {name for name, action in ACTIONS.items() if "api_key" in action.model_fields}
    assert fields == {"IngestVcon", "ExternalIngress"}
