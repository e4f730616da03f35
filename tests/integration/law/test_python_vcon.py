"""What this service writes, python-vcon reads, and the other way round.

python-vcon runs once, in a process of its own, for all that is asked of it.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from devstack.counterparts import python_vcon
from pipeline.config.law import LawKey, Trust
from pipeline.law.reading.opening import opened
from pipeline.law.writing.encrypting import encrypted
from pipeline.law.writing.versions import signed
from tests.integration.support.missing import missing
from tests.signed_vcons import UUID, Certified, Making, certify, private_pem, rsa_key

NOW = datetime.now(UTC)
TIMES = (NOW - timedelta(days=2), NOW + timedelta(days=2))
DOCUMENT = {
    "vcon": "0.0.2",
    "uuid": UUID,
    "created_at": "2026-11-20T09:00:00+00:00",
    "parties": [{"tel": "+15550123", "name": "Ann"}],
    "dialog": [],
    "analysis": [],
    "attachments": [],
}
VERIFIED = {"result": {"state": "VERIFIED", "uuid": UUID}}


def authority(name: str, above: Certified | None = None) -> Certified:
    """An authority with an RSA key: python-vcon knows no others."""
    return certify(name, rsa_key("authority"), above, Making(*TIMES, ca=True))


def written(layout: Any, signer: LawKey) -> dict[str, Any]:
    """Our signed form."""
    found: dict[str, Any] = json.loads(signed(DOCUMENT, signer, layout))
    return found


@pytest.fixture(scope="module")
def parties() -> dict[str, Certified]:
    """Certificates: a signer, a recipient, and their authorities."""
    root = authority("root")
    other = certify("other", rsa_key("leaf"), making=Making(*TIMES, ca=True))
    signer = certify("signer", rsa_key("leaf"), authority("between", root), Making(*TIMES))
    recipient = certify("recipient", rsa_key("leaf"), root, Making(*TIMES, signs=False))
    return {"root": root, "other": other, "signer": signer, "recipient": recipient}


@pytest.fixture(scope="module")
def answers(parties: dict[str, Certified]) -> dict[str, Any]:
    """What python-vcon answers to each question."""
    if not python_vcon.is_installed():
        missing("python-vcon is not installed: python -m devstack.counterparts.python_vcon")
    signer, recipient = parties["signer"].as_law_key(), parties["recipient"]
    root, chain = parties["root"].pem, [parties["signer"].pem, pem_of_between(parties)]
    theirs = {"document": DOCUMENT, "private": signer.private, "chain": [*chain, root]}
    both = written("both", signer)
    sealed = encrypted(json.dumps(both).encode(), UUID, [recipient.pem, parties["signer"].pem])
    keys = {"private": private_pem(recipient.key), "certificate": recipient.pem}
    changed = {**both, "payload": both["payload"][:40] + "AAAA" + both["payload"][44:]}
    orders = {
        "rfc7515": {"do": "verify", "form": written("rfc7515", signer), "anchors": [root]},
        "wg": {"do": "verify", "form": written("wg", signer), "anchors": [root]},
        "both": {"do": "verify", "form": both, "anchors": [root]},
        "other": {"do": "verify", "form": both, "anchors": [parties["other"].pem]},
        "changed": {"do": "verify", "form": changed, "anchors": [root]},
        "sealed": {"do": "decrypt", "form": json.loads(sealed), "anchors": [root], **keys},
        "signs": {"do": "sign", **theirs},
        "encrypts": {"do": "encrypt", **theirs, "certificate": recipient.pem},
    }
    return dict(zip(orders, python_vcon.call(list(orders.values())), strict=True))


def pem_of_between(parties: dict[str, Certified]) -> str:
    """The certificate between signer and root."""
    from tests.signed_vcons import pem_of

    return pem_of(parties["signer"].above[0])


@pytest.mark.parametrize("layout", ["wg", "both"])
def test_python_vcon_verifies_our_signatures(answers: dict[str, Any], layout: str) -> None:
    """With its authority, and no other."""
    assert answers[layout] == VERIFIED
    assert "error" in answers["other"]
    assert "error" in answers["changed"]


def test_python_vcon_needs_an_unprotected_alg(answers: dict[str, Any]) -> None:
    """This is why there is more than one layout."""
    assert answers["rfc7515"] == {"error": "KeyError: 'alg'"}


def test_python_vcon_opens_what_we_encrypt(answers: dict[str, Any]) -> None:
    """As the first of two recipients; it verifies the signature inside."""
    assert answers["sealed"] == VERIFIED


def trusting(parties: dict[str, Certified]) -> Trust:
    """Trust in the root of the signer."""
    return Trust(anchors=(parties["root"].pem,))


def test_we_verify_what_python_vcon_signs(
    answers: dict[str, Any], parties: dict[str, Certified]
) -> None:
    """Names that it repeats in both headers are told."""
    found = opened(answers["signs"]["result"], trusting(parties), (), NOW)
    assert (found.verified, found.document["uuid"]) == (True, UUID)
    assert found.document["parties"] == DOCUMENT["parties"]
    assert any("two headers" in each.message for each in found.findings)


def test_we_open_what_python_vcon_encrypts(
    answers: dict[str, Any], parties: dict[str, Certified]
) -> None:
    """And verify the signature inside."""
    key = parties["recipient"].as_law_key()
    found = opened(answers["encrypts"]["result"], trusting(parties), [key], NOW)
    assert (found.layers, found.verified) == (("encrypted", "signed"), True)
    assert found.document["parties"] == DOCUMENT["parties"]
