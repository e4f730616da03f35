"""Chains that open signed and encrypted vCons: both doors, what links see, and what is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK

from core.errors import InvalidError
from lib.vcon_redis import VconRedis
from pipeline.config.law import Law, Trust
from pipeline.live_config import Configuration
from pipeline.redis_client import keys
from tests.integration.support.operations_scene import Operations, operations
from tests.integration.support.pipeline_fixtures import both, configured, link
from tests.signed_vcons import UUID, Certified, Making, alone, certify, plain, rsa_key, signed

SEEN: list[dict[str, Any]] = []
SIGNER: list[Certified] = []


def look(vcon_uuid: str, _name: str, _options: Any) -> str:
    """A link that remembers what it got."""
    document = VconRedis().get_vcon(vcon_uuid)
    assert document is not None
    SEEN.append(document.to_dict())
    return vcon_uuid


def pinned() -> Certified:
    """A signer whose certificate is valid now."""
    if not SIGNER:
        now = datetime.now(UTC)
        how = Making(now - timedelta(days=1), now + timedelta(days=1))
        SIGNER.append(certify("pinned", rsa_key(), making=how))
    return SIGNER[0]


def envelope(**changes: Any) -> dict[str, Any]:
    """A signed vCon of the pinned signer."""
    return signed(plain(**changes), header={"x5c": alone(pinned())}, by=pinned())


def sealed(content: object) -> dict[str, Any]:
    """The same encrypted, in the layout of the working group's example."""
    token = JWE(
        orjson.dumps(content),
        protected=orjson.dumps({"alg": "RSA-OAEP", "enc": "A256CBC-HS512"}).decode(),
    )
    token.add_recipient(JWK.from_pem(pinned().as_law_key().private.encode()))
    one = orjson.loads(token.serialize())
    recipient = {"header": {"enc": "A256CBC-HS512"}, "encrypted_key": one.pop("encrypted_key")}
    unprotected = {"uuid": UUID, "cty": "application/vcon", "enc": "A256CBC-HS512"}
    return {**one, "unprotected": unprotected, "recipients": [recipient]}


@pytest.fixture
async def ops(redis_url: str) -> AsyncIterator[Operations]:
    """Chains that demand signatures, that report on them, that decrypt, and that do neither."""
    SEEN.clear()
    seeing = link(look, "look")
    key = pinned().as_law_key()
    chains = configured(links=[seeing], verify="required")
    for name, how in {
        "report": {"verify": "report"},
        "keys": {"verify": "required", "decrypt_with": (key,)},
        "open": {"allow_envelopes": True},
    }.items():
        chains = both(
            chains, configured(name=name, links=[seeing], ingress=(name,), egress=(), **how)
        )
    law = Law(trust=Trust(pinned=(pinned().digest,)))
    config = replace(chains.config, law=law)
    async with operations(redis_url) as opened:
        opened.configure(Configuration(config, chains.plugins))
        yield opened


def original(ops: Operations) -> Any:
    """The signed original that is kept, as bytes."""
    found = ops.client.get(keys.signed(UUID))
    return found.encode() if isinstance(found, str) else found


async def test_links_see_the_verified_payload_and_the_original_is_kept(ops: Operations) -> None:
    """Members outside count for nothing; the original is the text that came."""
    text = orjson.dumps(envelope() | {"parties": [{"name": "Mallory"}]}, option=orjson.OPT_INDENT_2)
    taken = await ops.take(text, "in")
    assert any("ignored: 'parties'" in each for each in taken.warnings)
    assert original(ops) == text
    await ops.work()
    [seen] = SEEN
    assert [party["name"] for party in seen["parties"]] == ["Ann"]
    assert not {"payload", "signatures"} & seen.keys()
    assert ops.list("out") == [UUID]
    assert (await ops.take(text, "in")).outcome == "duplicate"


async def test_the_time_in_the_uuid_is_that_of_the_vcon(ops: Operations) -> None:
    """The uuid of version 8 tells it, where the document does not."""
    await ops.take(envelope(), "in")
    document = orjson.loads(ops.client.execute_command("JSON.GET", f"vcon:{UUID}"))
    assert document["created_at_source"] == "uuid"
    assert document["created_at"].startswith("2025-07-24T")


@pytest.mark.parametrize("door", ["ingest", "list"])
async def test_what_is_not_verified_gets_in_by_no_door(ops: Operations, door: str) -> None:
    """Unsigned, wrongly signed, or signed by another: no link sees it."""
    wrong = envelope()
    wrong["payload"] = envelope(subject="other")["payload"]
    foreign = signed()
    for given, why in ((wrong, "signature is wrong"), (foreign, "not trusted"), (plain(), "not")):
        if door == "ingest":
            with pytest.raises(InvalidError, match=f"verify: required.*{why}"):
                await ops.take(given, "in")
            assert ops.client.keys("vcon:*") == []
        else:
            put(ops, given, "in")
            [ended] = await ops.work()
            assert ended.status == "failed"
            [letter] = (await ops.operations.dead_letters("in", None, 10, None)).entries
            assert "verify: required" in str(letter.error)
            assert why in str(letter.error)
            ops.client.flushdb()
    assert SEEN == []


def put(ops: Operations, given: dict[str, Any], name: str) -> None:
    """Queue a vCon as an adapter does."""
    text = orjson.dumps({"uuid": UUID} | given)
    ops.client.execute_command("JSON.SET", f"vcon:{UUID}", "$", text)
    ops.client.rpush(name, UUID)


@pytest.mark.parametrize("name", ["in", "keys"])
async def test_one_that_an_adapter_has_queued_is_opened_when_it_is_claimed(
    ops: Operations, name: str
) -> None:
    """The document becomes the payload, and the original is kept beside it."""
    one = envelope()
    put(ops, sealed(one) if name == "keys" else one, name)
    [ended] = await ops.work()
    assert ended.status == "done"
    [seen] = SEEN
    assert [party["name"] for party in seen["parties"]] == ["Ann"]
    kept = orjson.loads(original(ops))
    assert {key: kept[key] for key in one} == one


async def test_one_that_is_here_is_queued_for_a_chain_that_opens_it(ops: Operations) -> None:
    """And opened when it is claimed; encrypted ones only for a chain that has keys."""
    one = envelope()
    await ops.take(one)
    assert await ops.operations.enqueue([UUID], "in") == []
    [ended] = await ops.work()
    assert (ended.status, len(SEEN)) == ("done", 1)
    finder, chains = ops.operations._lookup, ops.configuration.config.chains
    assert await finder.bring_back(UUID, [chains["report"]]) == UUID
    with pytest.raises(InvalidError, match="chain report takes open ones only"):
        await ops.take(sealed(one), "report")


async def test_report_lets_it_in_and_says_what_is_wrong(
    ops: Operations, caplog: pytest.LogCaptureFixture
) -> None:
    """The payload is used as it is; the caller and the log are told."""
    await ops.take(envelope(), "report")
    assert "vcon not verified" not in caplog.messages
    await ops.index.delete(UUID, [])
    ops.client.delete("report")
    taken = await ops.take(signed(), "report")
    assert any("not trusted" in each for each in taken.warnings)
    [told] = [each for each in caplog.records if each.message == "vcon not verified"]
    assert (told.__dict__["vcon"], told.__dict__["chain"]) == (UUID, "report")
    await ops.work()
    assert len(SEEN) == 1
    assert (await ops.take(plain(subject="x"), "report")).outcome == "replaced"
    assert original(ops) is None


async def test_an_encrypted_one_is_decrypted_with_the_keys_of_the_chain(ops: Operations) -> None:
    """And its signature is verified; chains without the key refuse it."""
    await ops.take(sealed(envelope()), "keys")
    await ops.work()
    [seen] = SEEN
    assert seen["uuid"] == UUID
    with pytest.raises(InvalidError, match="it is not signed"):
        await ops.take(sealed(plain()), "keys")
    with pytest.raises(InvalidError, match="it is encrypted"):
        await ops.take(sealed(envelope()), "in")


async def test_a_duplicate_leaves_the_original_in_place(ops: Operations) -> None:
    """Byte for byte, also one with no signature; with other content it is replaced."""
    text = orjson.dumps(envelope(), option=orjson.OPT_INDENT_2)
    none = envelope()
    none["signatures"][0]["protected"] = "eyJhbGciOiJub25lIn0"
    none["signatures"][0]["signature"] = ""
    await ops.take(text, "in")
    for other in (none, signed()):
        assert (await ops.take(other, "report")).outcome == "duplicate"
        assert original(ops) == text
        assert ops.client.keys("pc:signed:*:*") == []
    await ops.work()
    await ops.work()
    again = orjson.dumps(envelope(subject="new"))
    assert (await ops.take(again, "report")).outcome == "replaced"
    assert original(ops) == again


async def test_a_signed_duplicate_of_a_plain_one_brings_its_original(ops: Operations) -> None:
    """There was none before."""
    text = orjson.dumps(envelope())
    await ops.take(plain(), "report")
    assert (await ops.take(text, "in")).outcome == "duplicate"
    assert original(ops) == text


async def test_chains_that_open_it_and_chains_that_do_not_cannot_share_it(ops: Operations) -> None:
    """Redis has one document for both."""
    with pytest.raises(InvalidError, match="chain main opens it and chain open does not"):
        await ops.take(envelope(), "in", "open")


async def test_the_original_goes_with_the_vcon(ops: Operations) -> None:
    """With other content, and when the vCon is deleted."""
    await ops.take(envelope(), "in")
    await ops.work()
    await ops.take(plain(subject="new"), "report")
    assert original(ops) is None
    await ops.work()
    await ops.take(envelope(), "in")
    await ops.work()
    assert original(ops) is not None
    await ops.index.delete(UUID, [])
    assert ops.client.keys("*signed*") == []


async def test_critical_extensions_inside_are_looked_at_in_both_doors(ops: Operations) -> None:
    """Those inside the payload count."""
    one = envelope(critical=["sealed_money"])
    with pytest.raises(InvalidError, match="sealed_money"):
        await ops.take(one, "in")
    put(ops, one, "in")
    [ended] = await ops.work()
    assert (ended.status, SEEN) == ("failed", [])
