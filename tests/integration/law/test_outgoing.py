"""What egress lists get from chains that sign or encrypt, and what stays."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.config.law import LawKey
from pipeline.law.canonical_json import canonical
from pipeline.law.reading.opening import Opened, opened
from pipeline.law.writing.versions import content_hash, version_uuid
from pipeline.redis_client import keys, originals
from pipeline.runs.queues import Claim, Settlement
from pipeline.vcon.normalization import dated, normalised
from pipeline.worker.law.outgoing import UNSENT_SECONDS
from tests import law_keys
from tests.integration.support.pipeline_fixtures import (
    PATIENCE,
    Scene,
    a_vcon,
    configured,
    link,
    storage,
)
from tests.integration.support.signed_egress import RECIPIENT, signing
from tests.integration.worker.worker_scene import Gate, kill
from tests.signed_vcons import UUID, plain, signed, trust

pytestmark = pytest.mark.usefixtures("at_once")


def transcribed(scene: Scene) -> Any:
    """A link that adds an analysis."""

    async def transcribe(vcon_uuid: str, *_: Any) -> str:
        document = await scene.store.get(vcon_uuid)
        assert document is not None
        document["analysis"] = [{"type": "transcript", "dialog": 0, "vendor": "x", "body": "hi"}]
        await scene.store.put(document)
        return vcon_uuid

    return link(transcribe)


def stored(scene: Scene, vcon_uuid: str) -> dict[str, Any]:
    """A document in Redis."""
    text = scene.client.execute_command("JSON.GET", keys.vcon(vcon_uuid))
    found: dict[str, Any] = json.loads(text)
    return found


def read(scene: Scene, vcon_uuid: str, *private: LawKey) -> Opened:
    """What a reader of the list finds in what it was given."""
    return opened(stored(scene, vcon_uuid), trust(), private, datetime.now(UTC))


async def test_the_list_gets_a_signed_version(scene: Scene) -> None:
    """Its payload refers to the vCon, which stays as the links made it."""
    await scene.start(configured(links=[transcribed(scene)], law=signing()))
    [vcon_uuid] = await scene.feed()
    ended = await scene.ended()
    [sent] = scene.elements("out")
    assert (ended.status, sent) == ("done", version_uuid(ended.claim.run_id, vcon_uuid))
    assert scene.client.hget(keys.about(vcon_uuid), f"{keys.VERSION_OF}{sent}") == ""
    found, plain = read(scene, sent), stored(scene, vcon_uuid)
    assert found.verified
    assert [each.place for each in found.signers] == ["signatures[0]", "signatures[1]"]
    assert found.document["amended"] == {
        "uuid": vcon_uuid,
        "content_hash": content_hash(canonical(plain)),
    }
    assert found.document["analysis"] == plain["analysis"] != []
    assert found.document["uuid"] == sent
    assert "amended" not in plain
    assert "payload" not in plain


async def test_only_a_recipient_opens_an_encrypted_version(scene: Scene) -> None:
    """Nothing of the vCon is outside, nor is its time."""
    await scene.start(configured(law=signing(encrypts=True)))
    await scene.feed()
    await scene.ended()
    [sent] = scene.elements("out")
    outside = stored(scene, sent)
    assert not {"created_at", "parties", "payload"} & set(outside)
    assert "+1555" not in json.dumps(outside)  # base64url has no +
    found = read(scene, sent, LawKey("r", law_keys.private_pem(RECIPIENT)))
    assert (found.layers, found.verified) == (("encrypted", "signed"), True)
    assert found.document["uuid"] == sent


async def test_holds_and_expiry_are_those_of_the_version(scene: Scene) -> None:
    """The list holds the version, so it does not expire; the vCon is held by nothing."""
    await scene.start(configured(storages=[storage()], law=signing()))
    [vcon_uuid] = await scene.feed()
    await scene.ended()
    [sent] = scene.elements("out")
    assert scene.client.smembers(keys.holds(sent)) == {"out"}
    assert scene.client.ttl(keys.vcon(sent)) == -1
    assert not scene.client.exists(keys.holds(vcon_uuid))
    assert scene.client.hget(keys.about(vcon_uuid), "saved") == "1"
    assert scene.client.hget(keys.about(sent), "saved") is None
    assert scene.client.hexists(keys.OWNERS, sent)


async def test_the_ledger_is_told_of_the_version(scene: Scene) -> None:
    """With the history of the run, also without custody, so that an erasure finds it."""
    await scene.start(configured(law=signing(encrypts=True)))
    [vcon_uuid] = await scene.feed()
    await scene.ended()
    [sent] = scene.elements("out")
    [run] = [json.loads(each) for each in scene.elements(keys.HISTORY)]
    [version] = run["law"]["versions"]
    told = {name: version[name] for name in ("vcon_uuid", "prior", "origin", "form", "chain")}
    assert told == {
        "vcon_uuid": sent,
        "prior": vcon_uuid,
        "origin": "amended",
        "form": "encrypted",
        "chain": "main",
    }
    assert run["vcon_out"] == vcon_uuid


async def test_a_run_that_is_taken_over_sends_the_same_version(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first worker has written the version, and dies before the end of the run."""
    gate, real = Gate(), scene.queues.finish

    async def held_up(worker: str, claim: Claim, end: Settlement) -> bool:
        if worker == "one":
            await gate.run(end.version, "", {})
        return await real(worker, claim, end)

    monkeypatch.setattr(scene.queues, "finish", held_up)
    one = await scene.start(configured(law=signing()), "one")
    [vcon_uuid] = await scene.feed()
    await gate.arrival()
    [written] = scene.client.keys("vcon:????????-????-8*")
    assert 0 < scene.client.ttl(written) <= UNSENT_SECONDS
    await kill(scene, one)
    await scene.start(configured(law=signing()), "two", patience=PATIENCE)
    ended = await scene.finished()
    assert (ended.worker, ended.held) == ("two", True)
    assert scene.elements("out") == [written.removeprefix("vcon:")]
    assert scene.client.ttl(written) == -1
    assert read(scene, scene.elements("out")[0]).document["amended"]["uuid"] == vcon_uuid


async def test_nothing_is_sent_of_a_vcon_that_was_erased_meanwhile(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version that was written already is removed."""
    real = scene.queues.finish

    async def erased_before(worker: str, claim: Claim, end: Settlement) -> bool:
        await scene.redis.command("SET", keys.tombstone(claim.vcon_uuid), "1")
        return await real(worker, claim, end)

    monkeypatch.setattr(scene.queues, "finish", erased_before)
    await scene.start(configured(law=signing()))
    await scene.feed()
    await scene.ended()
    assert scene.elements("out") == []
    assert scene.client.keys("vcon:????????-????-8*") == []


async def test_a_vcon_that_cannot_be_signed_is_a_dead_letter(scene: Scene) -> None:
    """The error says why; the list gets nothing."""
    await scene.start(configured(law=signing()))
    document = a_vcon(attachments=[{"purpose": "n", "body": "x", "size": 2**60}])
    await scene.store.put(document)
    await scene.redis.command("RPUSH", "in", document["uuid"])
    assert (await scene.finished()).status == "failed"
    assert scene.elements("out") == []
    reason = scene.reason("DLQ:in", document["uuid"])
    assert reason["error"].startswith("egress: the vCon cannot be signed: ")


async def accepted(scene: Scene, document: dict[str, Any]) -> bytes:
    """A signed vCon after it was opened: its payload in a list, and its original beside it."""
    text = json.dumps(signed(document, algorithm="ES256"), indent=1).encode()
    await scene.store.put(dated(normalised(document), datetime.now(UTC)))
    await originals.keep(scene.redis, document["uuid"], text, originals.ANY)
    await scene.redis.command("RPUSH", "in", document["uuid"])
    return text


@pytest.mark.parametrize("document", [a_vcon(UUID, subject="x"), plain()], ids=["0.4.0", "-04"])
async def test_an_unchanged_signed_vcon_goes_out_byte_for_byte(
    scene: Scene, document: dict[str, Any]
) -> None:
    """Under its own uuid, with the signature that it came with."""
    text = await accepted(scene, document)
    await scene.start(configured(law=signing()))
    assert (await scene.finished()).status == "done"
    assert scene.elements("out") == [UUID]
    assert await originals.read(scene.redis, UUID) == text


@pytest.mark.parametrize("changes", [True, False], ids=["changed", "encrypted"])
async def test_another_signed_vcon_is_amended(scene: Scene, *, changes: bool) -> None:
    """The version has the hash of the signed original, whose signature does not cover it."""
    text = await accepted(scene, plain())
    links = [transcribed(scene)] if changes else []
    await scene.start(configured(links=links, law=signing(encrypts=not changes)))
    assert (await scene.finished()).status == "done"
    [sent] = scene.elements("out")
    found = read(scene, sent, LawKey("r", law_keys.private_pem(RECIPIENT)))
    reference = {"uuid": UUID, "content_hash": content_hash(text)}
    assert (found.verified, found.document["amended"]) == (True, reference)


async def test_a_sealed_vcon_goes_out_as_it_is(scene: Scene) -> None:
    """One that was not opened is neither signed again nor changed."""
    sealed = a_vcon(payload="e30", signatures=[{"signature": "AA"}])
    await scene.start(configured(law=signing(), allow_envelopes=True))
    await scene.store.put(sealed)
    await scene.redis.command("RPUSH", "in", sealed["uuid"])
    assert (await scene.finished()).status == "done"
    assert scene.elements("out") == [sealed["uuid"]]


async def test_a_signed_vcon_is_not_sent_unencrypted(scene: Scene) -> None:
    """A chain that encrypts sends nothing that it could not open."""
    sealed = a_vcon(payload="e30", signatures=[{"signature": "AA"}])
    await scene.start(configured(law=signing(encrypts=True), allow_envelopes=True))
    await scene.store.put(sealed)
    await scene.redis.command("RPUSH", "in", sealed["uuid"])
    assert (await scene.finished()).status == "failed"
    assert scene.elements("out") == []
    assert "egress.encrypt_for" in scene.reason("DLQ:in", sealed["uuid"])["error"]
