"""vCons that adapters write as plain strings, as vcon-server keeps them since September 2026."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lib.vcon_redis import VconRedis
from pipeline.live_config import Configuration
from tests.integration.support.operations_scene import Operations, operations
from tests.integration.support.pipeline_fixtures import a_vcon, configured, link

SEEN: list[Any] = []


def note(vcon_uuid: str, _name: str, _options: Any) -> str:
    """A link that remembers what it has read."""
    SEEN.append(VconRedis().get_vcon_dict(vcon_uuid))
    return vcon_uuid


@pytest.fixture
async def ops(redis_url: str) -> AsyncIterator[Operations]:
    """One chain."""
    SEEN.clear()
    chain = configured(links=[link(note)], max_attempts=1)
    async with operations(redis_url) as opened:
        opened.configure(Configuration(chain.config, chain.plugins))
        yield opened


@pytest.mark.parametrize("expiry", [None, 60])
async def test_a_vcon_in_a_plain_string_runs(ops: Operations, expiry: int | None) -> None:
    """It becomes a JSON document when it is claimed."""
    vcon = a_vcon(subject="größer", analysis=[{"type": "x", "body": {"a": [1]}}])
    ops.client.set(f"vcon:{vcon['uuid']}", json.dumps(vcon), ex=expiry)
    ops.client.rpush("in", vcon["uuid"])
    [ended] = await ops.work()
    text = {"type": "x", "body": '{"a":[1]}', "encoding": "json"}
    assert (ended.status, SEEN) == ("done", [vcon | {"analysis": [text]}])
    assert ops.client.json().get(f"vcon:{vcon['uuid']}") == vcon


async def test_what_it_says_is_looked_at_as_with_any_other(ops: Operations) -> None:
    """Signed and critical ones are dead letters for a chain that takes none; it may be queued."""
    sealed = a_vcon(payload="e30", signatures=[{}])
    demanding, plain = a_vcon(critical=["x"]), a_vcon()
    for vcon in (sealed, demanding, plain):
        ops.client.set(f"vcon:{vcon['uuid']}", json.dumps(vcon), ex=60)
    assert await ops.operations.enqueue([plain["uuid"]], "in") == []
    ops.client.rpush("in", sealed["uuid"], demanding["uuid"])
    ended = {each.claim.vcon_uuid: each.status for each in await ops.work(3)}
    assert ended == {
        plain["uuid"]: "done",
        sealed["uuid"]: "failed",
        demanding["uuid"]: "failed",
    }


async def test_it_can_be_read_and_taken_in_again(ops: Operations) -> None:
    """From the event loop and from a thread, before any chain has had it."""
    first, second, third = (a_vcon(subject="x") for _ in range(3))
    for vcon in (first, second, third):
        ops.client.set(f"vcon:{vcon['uuid']}", json.dumps(vcon), ex=60)
    assert await ops.operations._lookup.find(first["uuid"]) == first
    assert await asyncio.to_thread(VconRedis().get_vcon_dict, second["uuid"]) == second
    assert (await ops.take(third | {"subject": "y"}, "in")).outcome == "replaced"
    assert 0 < ops.left(first["uuid"]) <= 60


@pytest.mark.parametrize("text", ["", "{", "[]", "no JSON", '"{}"', "{'a': 1}"])
async def test_another_string_is_left_as_it_is(ops: Operations, text: str) -> None:
    """The run fails, and what the adapter has written is not lost."""
    vcon_uuid = a_vcon()["uuid"]
    ops.client.set(f"vcon:{vcon_uuid}", text)
    ops.client.rpush("in", vcon_uuid)
    [ended] = await ops.work()
    assert (ended.status, ops.client.get(f"vcon:{vcon_uuid}")) == ("failed", text)
