"""Encrypted vCons: layouts, what is refused, and that nothing is fetched for any of it."""

from __future__ import annotations

import sys
from typing import Any

import orjson
import pytest
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK

from core.errors import InvalidError, TooLargeError
from pipeline.law.reading.decryption import SealedError
from pipeline.law.reading.opening import Opened, opened
from tests.signed_vcons import NOW, UUID, certify, curve_key, encoded, plain, signed, signer, trust

RSA, CURVE = signer("RS256").as_law_key("rsa"), signer("ES256").as_law_key("curve")
OAEP = {"alg": "RSA-OAEP", "enc": "A256CBC-HS512"}


def sealed(content: object = None, protected: Any = OAEP, *recipients: Any) -> dict[str, Any]:
    """Encrypted in General JSON, by default for the RSA key."""
    text = orjson.dumps(content if content is not None else signed())
    token = JWE(text, protected=orjson.dumps(protected).decode())
    for key, header in recipients or ((RSA, None),):
        told = header and orjson.dumps(header).decode()
        token.add_recipient(JWK.from_pem(key.private.encode()), told)
    one = orjson.loads(token.serialize())
    if "recipients" not in one:
        own = {name: one.pop(name) for name in ("header", "encrypted_key") if name in one}
        one["recipients"] = [own]
    return {**one, "unprotected": {"uuid": UUID, "cty": "application/vcon"}}


def read(given: Any, *keys: Any) -> Opened:
    """Open with the RSA key, if no other is given."""
    return opened(given, trust(), keys or (RSA,), NOW)


def test_the_layout_of_the_working_group() -> None:
    """The draft's example tells `enc` three times; equal names are told and tolerated."""
    one = sealed()
    one["unprotected"]["enc"] = OAEP["enc"]
    one["recipients"][0]["header"] = {"enc": OAEP["enc"]}
    found = read(one)
    assert (found.document, found.verified) == (plain(), True)
    assert found.layers == ("encrypted", "signed")
    assert any("'enc' stands in two headers" in str(each) for each in found.findings)
    one["unprotected"]["enc"] = "A256GCM"
    with pytest.raises(InvalidError, match="'enc' has two values"):
        read(one)


def test_each_recipient_opens_it() -> None:
    """Also where each has another algorithm, and none is protected."""
    both = (RSA, {"alg": "RSA-OAEP-256"}), (CURVE, {"alg": "ECDH-ES+A256KW"})
    one = sealed(None, {"enc": "A256GCM"}, *both)
    for key in (RSA, CURVE):
        assert read(one, key).verified
    with pytest.raises(SealedError, match="no key of decrypt_with opens it"):
        opened(one, trust(), (), NOW)
    with pytest.raises(SealedError, match="no key of decrypt_with opens it"):
        read(one, certify("other", curve_key("other")).as_law_key())


def test_what_is_not_signed_inside_is_told() -> None:
    """The draft demands that it is."""
    found = read(sealed(plain()))
    assert (found.document, found.verified) == (plain(), False)
    assert "is not signed" in str(found.findings[0])


@pytest.mark.parametrize("part", ["iv", "ciphertext", "tag", "encrypted_key", "protected"])
def test_a_changed_character_is_refused(part: str) -> None:
    """In each authenticated part, the last character, too."""
    one = sealed()
    place = one["recipients"][0] if part == "encrypted_key" else one
    for at in (0, len(place[part]) // 2, -1):
        text = list(place[part])
        text[at] = "A" if text[at] != "A" else "B"
        whole = {**one, "recipients": [dict(one["recipients"][0])]}
        target = whole["recipients"][0] if part == "encrypted_key" else whole
        target[part] = "".join(text)
        with pytest.raises(InvalidError):
            read(whole)


@pytest.mark.parametrize(
    ("protected", "why"),
    [
        ({**OAEP, "alg": "RSA1_5"}, "RSA1_5"),
        ({**OAEP, "alg": "dir"}, "'dir' is not one of"),
        ({**OAEP, "alg": "PBES2-HS256+A128KW", "p2c": 10**9}, "is not one of"),
        ({**OAEP, "zip": "DEF"}, "zip: compression"),
        ({**OAEP, "crit": ["exp"]}, "crit: names extensions"),
        ({"alg": "RSA-OAEP"}, "enc: None is not one of"),
    ],
)
def test_what_a_header_may_not_ask_for(protected: dict[str, Any], why: str) -> None:
    """Before any key is used."""
    with pytest.raises(InvalidError, match=why):
        read({**sealed(), "protected": encoded(protected)})


def test_too_many_recipients() -> None:
    """At most 64."""
    for count in (65, 10_000):
        with pytest.raises(TooLargeError, match=f"recipients: there are {count}"):
            read({**sealed(), "recipients": [{}] * count})


def test_another_uuid_outside_is_refused() -> None:
    """The unprotected header is a claim that is compared."""
    one = sealed()
    one["unprotected"]["uuid"] = "01983d7a-2b00-8000-9000-0123456789ac"
    with pytest.raises(InvalidError, match="is not the uuid inside"):
        read(one)


EVENTS: list[str] = []
IS_WATCHED: list[bool] = []


def test_no_address_in_a_header_is_looked_up_or_called() -> None:
    """`x5u` and `jku` at loopback, and `jwk`: no socket is made while it is read."""
    if not EVENTS:
        sys.addaudithook(lambda name, _: EVENTS.append(name) if IS_WATCHED else None)
    address = "https://127.0.0.1:1/chain.pem"
    named = {"x5u": address, "jku": address, "jwk": {"kty": "oct", "k": "AAAA"}}
    only = signed(header=named)
    del only["signatures"][0]["header"]["x5c"]
    IS_WATCHED.append(True)
    try:
        for given in (signed(header=named), only, sealed(only, {**OAEP, **named})):
            read(given)
    finally:
        IS_WATCHED.clear()
    assert [name for name in EVENTS if name.startswith(("socket.", "urllib"))] == []
