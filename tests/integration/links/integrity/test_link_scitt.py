"""The link `scitt` against a transparency service with a real tree, real keys and rules."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import cbor2
import pytest

from core.errors import ConfigurationError
from lib.vcon_redis import AsyncVconRedis
from links import scitt
from links.scitt import ReceiptError, VendorError, close, run
from pipeline.config.parser import parse
from pipeline.plugins.loader import load
from pipeline.runs.vcon_store import VconStore
from tests.integration.links.integrity.scitt_scene import (
    KEY,
    UUID,
    VCON,
    new_key,
    options,
    receipts,
    service,
)
from tests.integration.support.pipeline_fixtures import Scene, configured, link
from tests.integration.support.vendors.transparency import Transparency

__all__ = ["service"]
SUBJECTS = ["tel:+15550100", "tel:+15550101"]


@pytest.fixture(autouse=True)
async def _kept(store: VconStore) -> None:
    """The store has one vCon."""
    await store.put(VCON)


async def now() -> dict[str, Any]:
    """The vCon as it is."""
    found = await AsyncVconRedis().get_vcon_dict(UUID)
    assert found is not None
    return found


def hash_of(document: dict[str, Any]) -> str:
    """The hash as vcon-server's class computes it."""
    return hashlib.sha256(json.dumps(document).encode()).hexdigest()


async def test_each_number_gets_a_statement_and_a_receipt(service: Transparency) -> None:
    """In vcon-server's form, and with what SCRAPI demands."""
    before = hash_of(await now())
    assert await run(UUID, "created", options(service, issuer="me", key_id="key-7")) == UUID
    texts = [f"{before}:vcon_created:{each}" for each in ("+15550100", "tel:+15550101")]
    assert service.payloads() == texts
    said = service.said()
    assert [each[13][2] for each in said] == SUBJECTS
    assert [each[15] for each in said] == [{1: "me", 2: each} for each in SUBJECTS]
    first = said[0]
    assert (first[1], first[4], first[-6800]) == (-7, b"key-7", -16)
    assert (first[-6801], first[-6802]) == ("", "application/vcon+json")
    meta = {"vcon_operation": "vcon_created", "party_tel": "+15550100", "vcon_uuid": UUID}
    assert first[-6804] == meta
    [entry] = [each for each in (await now())["analysis"] if each["type"] == "scitt_receipt"]
    assert (entry["dialog"], entry["vendor"], entry["encoding"]) == (0, "scittles", "json")
    kept = receipts(await now())
    assert [each["subject"] for each in kept] == SUBJECTS
    assert {each["vcon_hash"] for each in kept} == {before}
    names = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    assert [each["entry_id"] for each in kept] == names
    assert cbor2.loads(base64.b64decode(kept[0]["cose_receipt"])).tag == 18
    assert {each["scrapi_url"] for each in kept} == {service.url}


async def test_without_a_number_the_vcon_is_the_subject(
    service: Transparency, store: VconStore
) -> None:
    """And the body is the receipt itself."""
    await store.put(VCON | {"parties": [{"name": "Ada"}, {"tel": 5}, {"tel": ""}], "dialog": []})
    await run(UUID, "created", options(service))
    assert service.said()[0][13][2] == f"vcon://{UUID}"
    [entry] = [each for each in (await now())["analysis"] if each["type"] == "scitt_receipt"]
    assert json.loads(entry["body"])["subject"] == f"vcon://{UUID}"
    assert entry["dialog"] == []  # there is none that it could be about


async def test_a_second_run_sends_nothing_more(service: Transparency, store: VconStore) -> None:
    """Also after a later link has added something; what is not `vcon_created` then does."""
    for operation in ("vcon_created", "vcon_enhanced"):
        await run(UUID, "scitt", options(service, vcon_operation=operation))
    once, requests = await now(), len(service.got)
    for operation in ("vcon_created", "vcon_enhanced"):
        await run(UUID, "scitt", options(service, vcon_operation=operation))
    assert (await now(), len(service.got)) == (once, requests)
    await store.put(once | {"subject": "Changed"})
    await run(UUID, "scitt", options(service))
    assert service.posts() == 4
    await run(UUID, "scitt", options(service, vcon_operation="vcon_enhanced"))
    await run(UUID, "scitt", options(service, again_if_changed=True))
    assert service.posts() == 8
    assert len(receipts(await now())) == 8


async def test_a_failure_keeps_the_receipts_there_are(service: Transparency) -> None:
    """The next run registers the rest, with the hash that the first had."""
    service.answers = ["ok", "ok", "ok", "400"]
    with pytest.raises(VendorError, match="the transparency service answered 400"):
        await run(UUID, "created", options(service))
    assert [each["subject"] for each in receipts(await now())] == SUBJECTS[:1]
    await run(UUID, "created", options(service))
    assert {each["vcon_hash"] for each in receipts(await now())} == {hash_of(VCON)}
    assert len(service.payloads()) == 2


async def test_what_the_service_has_already_is_not_an_error(
    service: Transparency, store: VconStore
) -> None:
    """As after a crash before the receipts were written: the same bytes, the same entries."""
    await run(UUID, "created", options(service, store_receipt=False))
    assert await now() == VCON
    await run(UUID, "created", options(service))
    assert len(service.entries) == 2
    assert [each["subject"] for each in receipts(await now())] == SUBJECTS


@pytest.mark.parametrize("change", ["uuid", "operation", "url", "nothing", "signature"])
async def test_receipts_from_outside_do_not_count(
    change: str, service: Transparency, store: VconStore
) -> None:
    """A vCon may bring made-up receipts, or those of another vCon, key or service."""
    other = VCON | {"uuid": "0190f1f4-0000-8000-8000-000000000001"} if change == "uuid" else VCON
    await store.put(other)
    made = options(service, vcon_operation="x" if change == "operation" else "vcon_created")
    made |= {"signing_key_pem": new_key()} if change == "signature" else {}
    await run(other["uuid"], "created", made)
    found = await AsyncVconRedis().get_vcon_dict(other["uuid"])
    assert found is not None
    foreign = receipts(found)
    for each in foreign:
        each["vcon_operation"] = "vcon_created"
        each["scrapi_url"] = "http://elsewhere" if change == "url" else each["scrapi_url"]
        each["signed_statement"] = "" if change == "nothing" else each["signed_statement"]
    entry = {"type": "scitt_receipt", "dialog": 0, "vendor": "scittles", "encoding": "json"}
    await store.put(VCON | {"analysis": [entry | {"body": json.dumps(foreign)}]})
    before = service.posts()
    await run(UUID, "created", options(service))
    assert service.posts() == before + 2


@pytest.mark.parametrize(
    "body", ["{", "[[]]", "[null]", '{"signed_statement": 5}', '{"signed_statement": "gA=="}', 7]
)
async def test_a_receipt_that_is_none_does_not_matter(
    body: object, service: Transparency, store: VconStore
) -> None:
    """In any form."""
    await store.put(VCON | {"analysis": [{"type": "scitt_receipt", "body": body}, "text"]})
    await run(UUID, "created", options(service))
    assert service.posts() == 2


async def test_a_missing_vcon_ends_the_chain(service: Transparency) -> None:
    """And nothing is sent."""
    missing = "00000000-0000-8000-8000-000000000000"
    assert await run(missing, "created", options(service)) is None
    assert service.got == []


async def test_too_many_numbers_are_refused(service: Transparency) -> None:
    """Before the first is registered."""
    with pytest.raises(ValueError, match=r"has 2 telephone numbers, more than .* \(1\)"):
        await run(UUID, "created", options(service, max_subjects=1))
    assert service.got == []


async def test_the_key_may_be_in_a_file(service: Transparency, tmp_path: Path) -> None:
    """Which is named if it cannot be used, without what is in it."""
    path = tmp_path / "key.pem"
    given = options(service, signing_key_pem=None, signing_key_path=str(path))
    with pytest.raises(ValueError, match=f"{path} cannot be read: No such file"):
        await run(UUID, "created", given)
    path.write_text("-----BEGIN secret-----")
    with pytest.raises(ValueError, match=f"{path} is not an unencrypted private key"):
        await run(UUID, "created", given)
    path.write_bytes(base64.b64decode(KEY))
    await run(UUID, "created", given)
    assert len(receipts(await now())) == 2


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"scrapi_url": "http://user:pass@host"}, "credentials belong into api_token"),
        ({"scrapi_url": "https://host/?key=1"}, "credentials belong into api_token"),
        ({"scrapi_url": "ftp://host"}, "not an http:// or https:// URL"),
        ({"signing_key_pem": "bm8="}, "not an unencrypted private key on the curve P-256"),
        ({"signing_key_pem": None}, "/etc/scitt/signing-key.pem cannot be read: No such file"),
        ({"vcon_operation": ""}, "at least 1 character"),
        ({"poll_timeout": 0}, "greater than 0"),
    ],
)
def test_wrong_options_are_reported_at_the_start(changes: dict[str, Any], text: str) -> None:
    """With the place in the file."""
    links = {"it": {"module": "links.scitt", "options": {"signing_key_pem": KEY, **changes}}}
    with pytest.raises(ConfigurationError, match=text):
        load(parse({"links": links, "chains": {"c": {"links": ["it"]}}}, {}))


async def test_a_run_registers_through_the_worker(scene: Scene, service: Transparency) -> None:
    """The whole way, and the receipt is in the vCon that storages get."""
    await scene.start(configured(links=[link(scitt.run, "scitt", options=options(service))]))
    await scene.store.put(VCON)
    await scene.redis.command("RPUSH", "in", UUID)
    ended = await scene.finished()
    assert ended.status == "done"
    found = await scene.store.get(UUID)
    assert found is not None
    assert len(receipts(found)) == 2
    await close()


async def test_a_receipt_that_does_not_verify_is_not_written(service: Transparency) -> None:
    """The run fails; the vCon is as it was."""
    service.change_receipt = lambda receipt: receipt[:-1] + bytes([receipt[-1] ^ 1])
    with pytest.raises(ReceiptError, match="is not the service's signature over"):
        await run(UUID, "created", options(service))
    assert await now() == VCON
