"""Encrypted vCons, as this service's reader and other libraries open them."""

import json

import pytest
from joserfc import jwe
from joserfc.jwk import RSAKey
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK

from core.errors import InvalidError
from pipeline.config.law import LawKey
from pipeline.law.reading.opening import opened
from pipeline.law.writing.encrypting import encrypted
from pipeline.law.writing.versions import signed
from tests import law_keys
from tests.signed_vcons import NOW, UUID, encoded, plain, signer, trust

RSA, RSA_2 = law_keys.rsa_key(), signer().key
EC, EC_2 = law_keys.ec_key(), law_keys.ec_key("two")


def sealed(*keys):
    """A signed vCon that is encrypted for these keys, parsed."""
    content = signed(plain(), signer().as_law_key(), "both")
    return json.loads(encrypted(content, UUID, [law_keys.public_pem(each) for each in keys]))


def law_key(key):
    """A key of `decrypt_with`."""
    return LawKey("k", law_keys.private_pem(key))


@pytest.mark.parametrize("keys", [(RSA,), (EC,), (RSA, RSA_2), (EC, EC_2), (EC, RSA)], ids=len)
def test_each_recipient_opens_it(keys):
    """Our reader finds the signed vCon inside, verified; jwcrypto its bytes."""
    form = sealed(*keys)
    for key in keys:
        found = opened(form, trust(), [law_key(key)], NOW)
        assert (found.document, found.verified) == (plain(), True)
        assert found.layers == ("encrypted", "signed")
        token = JWE(algs=["RSA-OAEP", "ECDH-ES+A256KW", "A256CBC-HS512"])
        token.deserialize(json.dumps(form), JWK.from_pem(law_keys.private_pem(key).encode()))
        assert "payload" in json.loads(token.payload)


def test_no_other_key_opens_it():
    """A key that is no recipient's."""
    with pytest.raises(InvalidError, match="no key"):
        opened(sealed(RSA, EC), trust(), [law_key(EC_2), law_key(RSA_2)], NOW)


def test_a_certificate_names_a_recipient():
    """As `encrypt_for` may have one."""
    content = signed(plain(), signer().as_law_key(), "wg")
    form = json.loads(encrypted(content, UUID, [law_keys.certificate_pem(RSA)]))
    assert opened(form, trust(), [law_key(RSA)], NOW).verified


def test_one_kind_of_keys_has_its_algorithm_in_the_protected_header():
    """python-vcon reads it only there; with several kinds each recipient has its own."""
    one, mixed = sealed(RSA, RSA_2), sealed(EC, RSA)
    assert one["protected"] == encoded(b'{"enc":"A256CBC-HS512","alg":"RSA-OAEP"}')
    assert all(list(each) == ["encrypted_key"] for each in one["recipients"])
    assert mixed["protected"] == encoded(b'{"enc":"A256CBC-HS512"}')
    algorithms = [each["header"]["alg"] for each in mixed["recipients"]]
    assert algorithms == ["ECDH-ES+A256KW", "RSA-OAEP"]
    assert one["unprotected"] == {"uuid": UUID, "cty": "application/vcon"}


def test_one_recipient_is_a_list_of_one():
    """The flattened form is no form of a vCon."""
    assert [list(each) for each in sealed(RSA)["recipients"]] == [["encrypted_key"]]
    assert list(sealed(EC)["recipients"][0]) == ["header", "encrypted_key"]


def test_joserfc_opens_the_five_parts():
    """Its JSON reader encodes the protected header again, so it gets the compact form."""
    form = sealed(RSA)
    key = form["recipients"][0]["encrypted_key"]
    parts = (form["protected"], key, form["iv"], form["ciphertext"], form["tag"])
    found = jwe.decrypt_compact(
        ".".join(parts),
        RSAKey.import_key(law_keys.private_pem(RSA)),
        algorithms=["RSA-OAEP", "A256CBC-HS512"],
    )
    assert "payload" in json.loads(found.plaintext or b"")


def test_nothing_of_the_vcon_is_outside():
    """Only the uuid and the type."""
    assert "+1555" not in json.dumps(sealed(RSA))  # base64url has no +
    assert set(sealed(RSA)) == {
        "protected",
        "unprotected",
        "recipients",
        "iv",
        "ciphertext",
        "tag",
    }
