"""vCons that name critical extensions: refused by every way into a chain that knows them not."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from core.errors import InvalidError
from pipeline.live_config import Configuration
from tests.integration.support.operations_scene import Operations, operations
from tests.integration.support.pipeline_fixtures import a_vcon, both, configured, link

SEEN: list[str] = []
REFUSED = r"without knowing the extension 'sealed_money' \(critical\); chain plain does not list it"


def note(vcon_uuid: str, _name: str, _options: Any) -> str:
    """A link that remembers which vCons it has had."""
    SEEN.append(vcon_uuid)
    return vcon_uuid


@pytest.fixture
async def ops(redis_url: str) -> AsyncIterator[Operations]:
    """A chain that knows the extension, and one that does not; both take envelopes."""
    SEEN.clear()
    chains = both(
        configured(links=[link(note)], extensions=("sealed_money",), allow_envelopes=True),
        configured(
            name="plain", links=[link(note)], ingress=("plain",), egress=(), allow_envelopes=True
        ),
    )
    async with operations(redis_url) as opened:
        opened.configure(Configuration(chains.config, chains.plugins))
        yield opened


def signed(document: dict[str, Any]) -> dict[str, Any]:
    """A JWS around it."""
    payload = urlsafe_b64encode(orjson.dumps(document)).decode().rstrip("=")
    return {"payload": payload, "signatures": [{"protected": "e30", "signature": "x"}]}


DEMANDING: list[dict[str, Any]] = [
    a_vcon(critical=["sealed_money"]),
    a_vcon(critical=["CC", "sealed_money"]),
    a_vcon(critical="sealed_money"),
    a_vcon(vcon="0.3.0", must_support=["sealed_money"]),
    a_vcon(critical=["wtf_transcription"], must_support=["sealed_money"]),
    signed(a_vcon(critical=["sealed_money"])),
    signed(signed(a_vcon(must_support=["sealed_money"]))),
]
UNDEMANDING: list[dict[str, Any]] = [
    a_vcon(critical=["CC", "wtf_transcription"]),
    a_vcon(critical=[], must_support=None, extensions=["sealed_money"]),
    signed(a_vcon(critical=None)),
]


@pytest.mark.parametrize("vcon", DEMANDING)
async def test_it_comes_in_only_where_the_chain_knows_the_extension(
    ops: Operations, vcon: dict[str, Any]
) -> None:
    """Refused for the other chain, alone or among several, and nothing is stored."""
    for lists in (["plain"], ["in", "plain"]):
        with pytest.raises(InvalidError, match=REFUSED):
            await ops.take(vcon, *lists)
    assert ops.client.keys("vcon:*") == []
    taken = await ops.take(vcon, "in")
    await ops.work()
    assert [taken.uuid] == SEEN


@pytest.mark.parametrize("vcon", DEMANDING)
async def test_one_that_an_adapter_has_queued_is_a_dead_letter(
    ops: Operations, vcon: dict[str, Any]
) -> None:
    """At once, with the reason, and no link has had it."""
    vcon_uuid = a_vcon()["uuid"]
    ops.client.json().set(f"vcon:{vcon_uuid}", ".", vcon | {"uuid": vcon_uuid})
    ops.client.rpush("plain", vcon_uuid)
    [ended] = await ops.work()
    assert (ended.status, SEEN, ops.list("DLQ:plain")) == ("failed", [], [vcon_uuid])
    [letter] = (await ops.operations.dead_letters("plain", None, 10, None)).entries
    assert "'sealed_money' (critical); chain plain does not list it" in str(letter.error)
    assert letter.attempts == 1


@pytest.mark.parametrize("vcon", UNDEMANDING)
async def test_known_extensions_and_those_that_are_only_used_pass(
    ops: Operations, vcon: dict[str, Any]
) -> None:
    """Those that only add members are known; `extensions` asks for nothing."""
    taken = await ops.take(vcon, "plain")
    await ops.work()
    assert [taken.uuid] == SEEN


async def test_one_that_is_here_is_not_queued_for_a_chain_that_does_not_know_it(
    ops: Operations,
) -> None:
    """Nor is what comes with it, nor is a run begun; a chain that knows it gets it."""
    demanding = (await ops.take(a_vcon(critical=["sealed_money"]))).uuid
    harmless = (await ops.take(a_vcon(critical=["CC"]))).uuid
    plain = await ops.ingest()
    with pytest.raises(InvalidError, match=f"{demanding}: .*{REFUSED}"):
        await ops.operations.enqueue([plain, harmless, demanding], "plain")
    assert ops.list("plain") == []
    finder, chains = ops.operations._lookup, ops.configuration.config.chains
    with pytest.raises(InvalidError, match=REFUSED):
        await finder.bring_back(demanding, [chains["plain"]])
    assert await finder.bring_back(demanding, [chains["main"]]) == demanding
    assert await ops.operations.enqueue([plain, harmless], "plain") == []
    assert await ops.operations.enqueue([plain, demanding], "in") == []
    assert (ops.list("plain"), ops.list("in")) == ([plain, harmless], [plain, demanding])


async def test_a_name_that_is_nearly_listed_is_told(ops: Operations) -> None:
    """The operator may have misspelt it."""
    with pytest.raises(InvalidError, match="did you mean 'sealed-money' where it lists 'sealed_m"):
        await ops.take(a_vcon(critical=["sealed-money"]), "in")
