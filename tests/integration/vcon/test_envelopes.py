"""Signed and encrypted vCons: through the door, a chain and a storage, and still what they were."""

from __future__ import annotations

import gzip
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from core.errors import InvalidError
from lib.vcon_library import vcon_class
from lib.vcon_redis import VconRedis
from links import tag
from pipeline.live_config import Configuration
from tests.integration.support.operations_scene import Operations, operations
from tests.integration.support.pipeline_fixtures import a_vcon, both, configured, link, storage

SHELF: dict[str, dict[str, Any]] = {}
JWE = {"ciphertext": "AAAA", "iv": "AAAA", "tag": "AAAA", "recipients": [{"encrypted_key": "AA"}]}


def put(vcon_uuid: str, _options: Any) -> None:
    """A storage that reads as vcon-server's do."""
    document = VconRedis().get_vcon(vcon_uuid)
    assert document is not None
    SHELF[vcon_uuid] = document.to_dict()


@pytest.fixture
async def ops(redis_url: str) -> AsyncIterator[Operations]:
    """A chain over `tag` and a storage that takes envelopes, and one that does not."""
    SHELF.clear()
    chains = both(
        configured(
            links=[link(tag.run, "tag", options={"tags": ["a"]})],
            storages=[storage(put)],
            allow_envelopes=True,
        ),
        configured(name="open", ingress=("open",), egress=()),
    )
    async with operations(redis_url) as opened:
        opened.configure(Configuration(chains.config, chains.plugins))
        yield opened


def signed() -> tuple[dict[str, Any], Any]:
    """A JWS made by the vCon library, without what stands beside it, and the public key."""
    private, public = vcon_class().generate_key_pair()
    vcon = vcon_class()(a_vcon())
    vcon.sign(private)
    return {name: vcon.vcon_dict[name] for name in ("payload", "signatures")}, public


def sealed() -> dict[str, Any]:
    """A JWE that tells in its headers what it is found by."""
    return JWE | {"unprotected": {name: a_vcon()[name] for name in ("uuid", "created_at")}}


async def test_a_signed_vcon_can_still_be_verified(ops: Operations) -> None:
    """Links run on what stands outside; payload and signatures come out as they came in."""
    envelope, public = signed()
    taken = await ops.take(envelope, "in")
    await ops.work()
    kept = SHELF[taken.uuid]
    assert envelope.items() <= kept.items()
    assert (kept["parties"], len(kept["attachments"])) == ([], 1)
    assert vcon_class()({name: kept[name] for name in envelope}).verify(public)
    assert ops.list("out") == [taken.uuid]


async def test_an_encrypted_vcon_is_stored_and_forwarded(ops: Operations) -> None:
    """Found by the uuid in its header; sent again it is the same vCon."""
    about = {name: a_vcon()[name] for name in ("uuid", "created_at")}
    envelope = JWE | {"unprotected": about}
    assert (await ops.take(envelope, "in")).uuid == about["uuid"]
    await ops.work()
    assert (JWE | about).items() <= SHELF[about["uuid"]].items()
    assert ops.list("out") == [about["uuid"]]
    assert (await ops.take(envelope, "in")).outcome == "duplicate"


@pytest.mark.parametrize("packed", [False, True])
async def test_one_that_tells_no_time_runs_with_that_of_its_receipt(
    ops: Operations, packed: bool
) -> None:
    """An encrypted vCon that keeps to the draft, and a signed one whose payload is gzip."""
    vcon_uuid = a_vcon()["uuid"]
    envelope = JWE | {"unprotected": {"uuid": vcon_uuid}}
    if packed:
        untimed = {name: value for name, value in a_vcon(vcon_uuid).items() if name != "created_at"}
        payload = urlsafe_b64encode(gzip.compress(orjson.dumps(untimed))).decode().rstrip("=")
        envelope = {"payload": payload, "signatures": [{"protected": "e30", "signature": "x"}]}
    taken = await ops.take(envelope, "in")
    assert taken.uuid == vcon_uuid
    assert [warning.partition(":")[0] for warning in taken.warnings] == ["created_at"]
    await ops.work()
    kept = SHELF[vcon_uuid]
    assert envelope.items() <= kept.items()
    assert kept["created_at_source"] == "receipt"
    assert (await ops.take(envelope, "in")).outcome == "duplicate"


async def test_one_that_is_here_is_not_queued_for_a_chain_that_does_not_allow_it(
    ops: Operations,
) -> None:
    """Nor is what comes with it; a chain that allows it gets it in the same way."""
    envelopes = [(await ops.take(each)).uuid for each in (signed()[0], sealed())]
    plain = await ops.ingest()
    for vcon_uuid in envelopes:
        with pytest.raises(InvalidError, match=f"{vcon_uuid}: .* chain open takes open ones only"):
            await ops.operations.enqueue([plain, vcon_uuid], "open")
        assert await ops.operations.enqueue([vcon_uuid], "in") == []
    assert (ops.list("open"), ops.list("in")) == ([], envelopes)
    assert await ops.operations.enqueue([plain], "open") == []


async def test_a_run_of_a_chain_that_does_not_allow_it_is_not_begun(ops: Operations) -> None:
    """Refused where it is asked for, whether Redis has it or only a storage."""
    finder = ops.operations._lookup
    chains = ops.configuration.config.chains
    taken = await ops.take(signed()[0])
    with pytest.raises(InvalidError, match="chain open takes open ones only"):
        await finder.bring_back(taken.uuid, [chains["open"]])
    assert await finder.bring_back(taken.uuid.upper(), [chains["main"]]) == taken.uuid


async def test_one_that_somebody_else_has_queued_is_a_dead_letter(ops: Operations) -> None:
    """At once, with the reason, and without having been in a link's hands; a plain one passes."""
    envelope, plain = (await ops.take(signed()[0])).uuid, await ops.ingest()
    ops.client.rpush("open", envelope, plain)
    ended = {each.claim.vcon_uuid: each.status for each in await ops.work(2)}
    assert ended == {envelope: "failed", plain: "done"}
    assert ops.list("DLQ:open") == [envelope]
    [letter] = (await ops.operations.dead_letters("open", None, 10, None)).entries
    assert "chain open takes open ones only" in str(letter.error)
    assert letter.attempts == 1


async def test_a_chain_that_does_not_allow_it_gets_none(ops: Operations) -> None:
    """The refusal names the chain and the setting; nothing is stored."""
    envelope, _ = signed()
    for lists in (["open"], ["in", "open"]):
        with pytest.raises(InvalidError, match="chain open takes open ones only"):
            await ops.take(envelope, *lists)
    assert ops.client.keys("vcon:*") == []
