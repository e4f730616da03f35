"""The layouts of signatures, as this service's reader and four other libraries see them."""

import json
import warnings
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws
from joserfc.jwk import import_key
from joserfc.registry import HeaderParameter
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS

from pipeline.law.reading.opening import opened
from pipeline.law.writing.versions import signed
from tests.signed_vcons import NOW, UUID, Making, certify, plain, root, signer, trust

ALGORITHMS = ("RS256", "ES256", "EdDSA")
LAYOUTS = ("rfc7515", "wg", "both")


def written(layout, algorithm="RS256", document=None):
    """A signed vCon, parsed."""
    key = signer(algorithm).as_law_key()
    return json.loads(signed(document or plain(), key, layout))


def public_pem(algorithm="RS256"):
    """The public key of the signer."""
    key = signer(algorithm).key.public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_our_reader_verifies_each_layout(layout, algorithm):
    """Only `wg` has a name in two headers, which is told."""
    found = opened(written(layout, algorithm), trust(), (), NOW)
    assert (found.document, found.verified) == (plain(), True)
    assert {each.algorithm for each in found.signers} == {algorithm}
    assert len(found.signers) == (2 if layout == "both" else 1)
    twice = [each for each in found.findings if "two headers" in each.message]
    assert len(twice) == (0 if layout == "rfc7515" else 1)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("layout", ["rfc7515", "both"])
def test_jwcrypto_verifies(layout, algorithm):
    """It needs one signature that is right."""
    form = written(layout, algorithm)
    token = JWS()
    token.allowed_algs = [algorithm]
    token.deserialize(json.dumps(form))
    token.verify(JWK.from_pem(public_pem(algorithm)))
    assert json.loads(token.payload) == plain()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_joserfc_verifies(layout, algorithm):
    """It needs all of them to be right."""
    extra = {"uuid": HeaderParameter("of a vCon", "str")}
    registry = jws.JWSRegistry(header_registry=extra, algorithms=[algorithm])
    registry.max_header_length = 20_000
    kind = {"RS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}[algorithm]
    key = import_key(public_pem(algorithm), kind)
    with warnings.catch_warnings(action="ignore"):  # about the name EdDSA
        found = jws.deserialize_json(written(layout, algorithm), key, registry=registry)
    assert json.loads(found.payload) == plain()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_vcon_lib_verifies(layout):
    """With the public key; it looks at the first signature only."""
    from lib import vcon_library

    vcon_library.prepare()
    import vcon

    with warnings.catch_warnings(action="ignore"):  # about authlib's age
        assert vcon.Vcon(written(layout)).verify(public_pem())


def test_layouts_have_their_headers():
    """Names and places as the readers need them."""
    entries = written("both")["signatures"]
    headers = [sorted(each["header"]) for each in entries]
    assert headers == [["uuid", "x5c"], ["alg", "uuid", "x5c"]]
    found = opened(written("both"), trust(), (), NOW).signers
    assert [each.place for each in found] == ["signatures[0]", "signatures[1]"]
    assert {each["header"]["uuid"] for each in entries} == {UUID}


def test_payload_is_canonical():
    """Members in the order of RFC 8785, numbers as it writes them."""
    from tests.signed_vcons import encoded

    document = {"uuid": UUID, "z": 1.0, "a": {"ü": 1, "b": [1e21]}}
    expected = f'{{"a":{{"b":[1e+21],"ü":1}},"uuid":"{UUID}","z":1}}'
    assert written("wg", document=document)["payload"] == encoded(expected.encode())


def test_number_without_canonical_form_is_refused():
    """It cannot be signed."""
    with pytest.raises(ValueError, match="2"):
        written("both", document=plain(size=2**53))


def test_certificate_that_has_ended_is_not_trusted():
    """What is signed can be verified only while the certificate is valid."""
    old = certify("old", signer().key, root(), Making(ends=NOW - timedelta(days=1)))
    form = signed(plain(), replace(signer().as_law_key(), chain=old.pem), "both")
    assert not opened(form, trust(), (), NOW).verified
