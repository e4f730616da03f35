"""The same vCon comes with several signatures: a verified original stays, or takes the place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from core.errors import GoneError
from pipeline.config.law import Law, Trust
from pipeline.live_config import Configuration
from pipeline.redis_client import keys
from tests.integration.support.operations_scene import Operations, operations
from tests.integration.support.pipeline_fixtures import both, configured
from tests.integration.vcon.test_opened import envelope, original, pinned, put, sealed
from tests.signed_vcons import UUID, alone, certify, current, plain, rsa_key, signed


def configure(ops: Operations, *trusted: str) -> None:
    """Chains that demand signatures of these certificates, in clear and encrypted, or report."""
    key = pinned().as_law_key()
    chains = configured(verify="required")
    for name, how in {
        "report": {"verify": "report"},
        "keys": {"verify": "required", "decrypt_with": (key,)},
        "opens": {"decrypt_with": (key,)},
    }.items():
        chains = both(chains, configured(name=name, ingress=(name,), egress=(), **how))
    config = replace(chains.config, law=Law(trust=Trust(pinned=trusted)))
    ops.configure(Configuration(config, chains.plugins))


@pytest.fixture
async def ops(redis_url: str) -> AsyncIterator[Operations]:
    """An empty Redis."""
    async with operations(redis_url) as opened:
        configure(opened, pinned().digest)
        yield opened


def forged() -> dict[str, Any]:
    """The vCon of `envelope` with no signature that holds."""
    none = envelope()
    none["signatures"][0]["signature"] = signed()["signatures"][0]["signature"]
    return none


@pytest.mark.parametrize("unverified", [forged, signed])
@pytest.mark.parametrize(("first", "then"), [("report", "in"), ("opens", "keys")])
async def test_a_verified_original_replaces_one_that_is_not(
    ops: Operations, unverified: Any, first: str, then: str
) -> None:
    """And the chain that demands it runs; the other way round nothing changes."""
    verified = envelope()
    one, other = unverified(), orjson.dumps(verified)
    given: Any = other
    if then == "keys":
        one, given = sealed(one), sealed(verified)
    await ops.take(one, first)
    assert (await ops.take(given, then)).outcome == "duplicate"
    assert original(ops) == other
    assert (await ops.take(one, first)).outcome == "duplicate"
    assert original(ops) == other
    ended = [*await ops.work(), *await ops.work()]
    assert {each.status for each in ended} == {"done"}
    assert ops.client.keys("pc:signed:*:*") == []


async def test_both_come_at_once(ops: Operations) -> None:
    """In each order of their commands the verified one is kept."""
    text = orjson.dumps(envelope())
    unverified = signed(), forged(), plain()
    for turn in range(12):
        calls = [ops.take(each, "report") for each in unverified]
        calls.insert(turn % 4, ops.take(text, "in"))
        await asyncio.gather(*calls)
        assert original(ops) == text
        assert {each.status for each in [*await ops.work(), *await ops.work()]} == {"done"}
        ops.client.flushdb()


async def test_one_that_is_no_longer_trusted_is_replaced(ops: Operations) -> None:
    """The same vCon, signed with the certificate that came after."""
    successor = certify("successor", rsa_key("successor"), making=current())
    await ops.take(envelope(), "in")
    await ops.work()
    configure(ops, successor.digest)
    text = orjson.dumps(signed(plain(), header={"x5c": alone(successor)}, by=successor))
    assert (await ops.take(text, "keys")).outcome == "duplicate"
    assert original(ops) == text
    [ended] = await ops.work()
    assert ended.status == "done"


async def test_an_unverified_one_in_a_list_leaves_a_verified_one(ops: Operations) -> None:
    """Where an adapter has queued the same content; with other content it is replaced."""
    text = orjson.dumps(envelope())
    await ops.take(text, "in")
    await ops.work()
    put(ops, signed(), "report")
    await ops.work()
    assert original(ops) == text
    put(ops, signed(plain(subject="other")), "report")
    await ops.work()
    assert orjson.loads(original(ops))["payload"] == signed(plain(subject="other"))["payload"]
    put(ops, envelope(subject="other"), "in")
    await ops.work()
    assert orjson.loads(original(ops))["signatures"] == envelope(subject="other")["signatures"]


async def test_a_refused_uuid_leaves_no_original(ops: Operations) -> None:
    """Of an erased vCon nothing stays that was offered."""
    ops.client.set(keys.tombstone(UUID), "1")
    with pytest.raises(GoneError):
        await ops.take(envelope(), "in")
    assert ops.client.keys("pc:signed:*") == []
