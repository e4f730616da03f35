"""Opening a vCon in any form: what is taken, what is refused, and what is told about it."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from core.errors import InvalidError, TooLargeError
from pipeline.law.reading.forms import Limits
from pipeline.law.reading.opening import Opened, opened, why_not_verified
from tests import signed_vcons
from tests.signed_vcons import NOW, encoded, entry, plain, signed, signer, trust


def read(given: Any, **changes: Any) -> Opened:
    """Open with trust in the root."""
    how: dict[str, Any] = {"trust": trust(), "keys": (), "now": NOW} | changes
    return opened(given, **how)


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("layout", ["A", "B", "C", "wg"])
def test_each_layout_and_algorithm_is_verified(algorithm: str, layout: str) -> None:
    """The document is the payload; names that stand twice are told."""
    found = read(signed(None, layout, algorithm=algorithm))
    assert (found.document, found.form, found.verified) == (plain(), "signed", True)
    [one] = found.signers
    assert (one.algorithm, one.trusted_by, one.certificate) == (
        algorithm,
        "anchor",
        signer(algorithm).digest,
    )
    twice = {"A": 0, "B": 0, "C": 1, "wg": 2}[layout]
    assert len([each for each in found.findings if "two headers" in each.message]) == twice
    assert not any(each.refuses for each in found.findings)


def test_the_original_is_the_text_that_came() -> None:
    """Byte for byte, also where it was packed as a whole."""
    text = orjson.dumps(signed(), option=orjson.OPT_INDENT_2)
    assert read(text).original == text
    assert read(gzip.compress(text)).original == text
    assert orjson.loads(read(signed()).original or b"") == signed_again(read(signed()))


def signed_again(found: Opened) -> Any:
    """The original as a value."""
    return orjson.loads(found.original or b"")


def test_a_plain_vcon_is_returned_as_it_is() -> None:
    """It is not verified, and says why not."""
    found = read(plain())
    assert (found.document, found.form, found.original) == (plain(), "unsigned", None)
    assert why_not_verified(found) == "it is not signed"


def test_a_packed_payload_is_unpacked() -> None:
    """Up to the limit."""
    payload = encoded(gzip.compress(orjson.dumps(plain())))
    assert read(signed(payload)).document == plain()
    bomb = encoded(gzip.compress(b" " * 5_000_000 + b"{}"))
    with pytest.raises(TooLargeError, match="payload: has more than 1000000 bytes unpacked"):
        read(signed(bomb), limits=Limits(most_bytes=1_000_000))


def flipped(text: str) -> list[str]:
    """The text with each character changed to its neighbour in the alphabet."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    found = []
    for at, sign in enumerate(text):
        other = alphabet[alphabet.index(sign) ^ 1]
        found.append(text[:at] + other + text[at + 1 :])
    return found


def is_refused(given: Any) -> bool:
    """Whether it cannot be read, or is not verified."""
    try:
        return not read(given).verified
    except InvalidError:
        return True


@pytest.mark.filterwarnings("ignore:Parsed a:cryptography.utils.CryptographyDeprecationWarning")
@pytest.mark.parametrize("part", ["payload", "protected", "signature"])
def test_every_flipped_character_is_refused(part: str) -> None:
    """The last one, too, whose unused bits many libraries ignore; in either of two signatures."""
    whole = signed(None, "A", "B", algorithm="ES256")
    for at in (0, 1):
        place = whole if part == "payload" else whole["signatures"][at]
        for changed in flipped(place[part]):
            if part == "payload":
                broken = {**whole, part: changed}
            else:
                entries = list(whole["signatures"])
                entries[at] = {**entries[at], part: changed}
                broken = {**whole, "signatures": entries}
            assert is_refused(broken), (part, at, changed)
    assert read(whole).verified


@pytest.mark.parametrize("part", ["payload", "protected", "signature"])
@pytest.mark.parametrize("more", ["=", "\n", " ", "A", "é"])
def test_nothing_may_be_added_to_it(part: str, more: str) -> None:
    """Padding, white space and further characters are refused."""
    whole = signed(algorithm="ES256")
    if part == "payload":
        broken = {**whole, part: whole[part] + more}
    else:
        broken = {
            **whole,
            "signatures": [{**(one := whole["signatures"][0]), part: one[part] + more}],
        }
    assert is_refused(broken)


def test_members_outside_count_for_nothing() -> None:
    """They are told, and ignored."""
    found = read({**signed(), "parties": [{"name": "Mallory"}], "critical": ["x"]})
    assert found.document == plain()
    [told] = [str(each) for each in found.findings]
    assert "ignored: 'parties', 'critical'" in told


@pytest.mark.parametrize(
    "changed",
    [
        {"uuid": "01983d7a-2b00-8000-9000-0123456789ac"},
        {"signatures": [entry(encoded(plain()), header={"uuid": "another"})]},
        {"signatures": [entry(encoded(plain()), layout="B", protected={"uuid": 5})]},
    ],
)
def test_two_uuids_are_refused(changed: dict[str, Any]) -> None:
    """Whether outside, in a header or in a protected header."""
    with pytest.raises(InvalidError, match="is not the uuid inside"):
        read(signed() | changed)
    assert read(signed() | {"uuid": signed_vcons.UUID.upper()}).verified


def refusal(**how: Any) -> str:
    """Why a vCon with such a signature is not verified."""
    found = read(signed(None, how.pop("layout", "A"), **how))
    assert not found.verified
    return why_not_verified(found)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"protected": {"crit": ["b64"], "b64": False}}, "crit: names extensions"),
        ({"protected": {"b64": False}}, "b64: unencoded payloads"),
        ({"header": {"crit": ["exp"]}}, "crit: names extensions"),
        ({"protected": {"alg": "none"}}, "'none' is not one of RS256"),
        ({"protected": {"alg": "HS256"}}, "'HS256' is not one of RS256"),
        ({"protected": {"alg": "PS256"}}, "the signature is wrong"),
        ({"protected": {"alg": "ES256"}}, "does not fit the key"),
        ({"protected": {"alg": ["RS256"]}}, "is not one of RS256"),
        ({"header": {"alg": "PS256"}, "layout": "C"}, "'alg' has two values"),
        ({"header": {"x5c": []}}, "x5c: expected a list of certificates"),
        ({"header": {"x5c": ["AAAA"]}}, "x5c: expected certificates"),
        ({"header": {"x5c": 5}}, "x5c: expected a list of certificates"),
        ({"header": {"x5c": signer().x5c[::-1]}}, "does not fit the key"),
        ({"protected": {"x5t#S256": encoded(b"x" * 32)}}, "x5t#S256: is not that of the first"),
        ({"header": {"x5t": encoded(b"x" * 20)}}, "x5t: is not that of the first certificate"),
        ({"protected": {"x5t": 5}}, "expected base64url"),
    ],
)
def test_what_a_header_may_not_say(how: dict[str, Any], why: str) -> None:
    """Each is a finding that refuses, where verification is required."""
    assert why in refusal(**how)


def test_a_name_twice_in_one_header_is_refused() -> None:
    """Readers differ about which of them counts."""
    one = signed()
    one["signatures"][0]["protected"] = encoded(b'{"alg":"RS256","alg":"RS256"}')
    assert "a name twice in one object" in why_not_verified(read(one))


def test_hs256_with_the_public_key_is_refused_even_if_it_is_configured() -> None:
    """The public key of a certificate is never a shared secret."""
    found = read(
        signed(None, "B", protected={"alg": "HS256"}),
        trust=replace(trust(), algorithms=("HS256", "none")),
    )
    assert "HS256 does not fit the key" in why_not_verified(found)


def test_only_x5u_is_not_enough() -> None:
    """It is never fetched."""
    one = signed(header={"x5u": "https://127.0.0.1:1/chain.pem"})
    del one["signatures"][0]["header"]["x5c"]
    assert "x5u is never fetched" in why_not_verified(read(one))


@pytest.mark.parametrize("forms", [("signatures", []), ("signatures", {}), ("signatures", [5])])
def test_what_is_no_signed_form_is_refused(forms: tuple[str, Any]) -> None:
    """Whether or not verification is required."""
    with pytest.raises(InvalidError, match="signatures"):
        read(signed() | dict([forms]))
    for payload in (5, None, "e30.", "W10", "AA"):
        with pytest.raises(InvalidError, match="payload"):
            read(signed() | {"payload": payload})
    for both in ({"signature": "AA"}, {"ciphertext": "AA"}):
        with pytest.raises(InvalidError):
            read(signed() | both)


def test_a_flattened_signature_is_read() -> None:
    """Libraries write one signature so, though the draft does not have it."""
    [one] = signed()["signatures"]
    assert read({"payload": signed()["payload"], **one}).verified


def test_several_signatures_must_all_be_right_and_one_trusted() -> None:
    """A second signer that is not known here does no harm; a wrong one does."""
    payload = encoded(plain())
    foreign = signed_vcons.certify("foreign", signed_vcons.rsa_key("foreign"))
    unknown = entry(
        payload,
        foreign,
        header={"x5c": [signed_vcons.b64encode(signed_vcons.der_of(foreign.certificate)).decode()]},
    )
    known = entry(payload)
    found = read({"payload": payload, "signatures": [unknown, known]})
    assert found.verified
    assert [each.trusted_by for each in found.signers] == [None, "anchor"]
    assert "not trusted" in why_not_verified(read({"payload": payload, "signatures": [unknown]}))
    wrong = {**known, "signature": entry(encoded(plain(a=1)))["signature"]}
    assert not read({"payload": payload, "signatures": [known, wrong]}).verified


def nested(layers: int) -> dict[str, Any]:
    """A vCon that was signed so often; packed each time, as base64 of base64 grows quickly."""
    document = plain()
    for _ in range(layers):
        document = signed(encoded(gzip.compress(orjson.dumps(document))), algorithm="ES256")
    return document


def test_signed_again_for_archiving_the_outermost_signature_counts() -> None:
    """What is inside may have expired; there are at most four layers."""
    inner = signed()
    inner["signatures"][0]["signature"] = "AAAA"
    found = read(signed(inner))
    assert (found.document, found.verified, found.layers) == (plain(), True, ("signed", "signed"))
    assert read(nested(4)).verified
    for layers in (5, 65):
        with pytest.raises(TooLargeError, match="more than 4 times"):
            read(nested(layers))


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        (lambda one: one | {"signatures": one["signatures"] * 17}, "signatures: there are 17"),
        (lambda one: one | {"signatures": [{}] * 10_000}, "signatures: there are 10000"),
        (lambda one: with_chain(one, 9), "x5c: has 9 certificates"),
        (lambda one: with_protected(one, "A" * 200_000), "protected: has 200000 bytes"),
    ],
)
def test_beyond_a_bound_it_is_too_large(
    broken: Callable[[dict[str, Any]], dict[str, Any]], what: str
) -> None:
    """Before anything is computed for each of them."""
    with pytest.raises(TooLargeError, match=what):
        read(broken(signed()))


def with_chain(one: dict[str, Any], count: int) -> dict[str, Any]:
    """With so many certificates."""
    one["signatures"][0]["header"]["x5c"] = signer().x5c[:1] * count
    return one


def with_protected(one: dict[str, Any], text: str) -> dict[str, Any]:
    """With another protected header."""
    one["signatures"][0]["protected"] = text
    return one


def test_the_time_is_an_argument() -> None:
    """The same vCon is verified today, and not after its certificate."""
    later = NOW + timedelta(days=31 * 365)
    assert "has expired" in why_not_verified(read(signed(), now=later))
    assert "valid only from" in why_not_verified(read(signed(), now=NOW - timedelta(days=40)))
    assert read(signed()).verified


@pytest.mark.parametrize("beside", [{"protected": "\ud800"}, {"more": 2**70}, {"more": {1: 2}}])
def test_a_form_without_a_text_is_refused(beside: dict[str, Any]) -> None:
    """It was given as a value, and its original could not be kept."""
    [one] = signed()["signatures"]
    with pytest.raises(InvalidError, match="vcon: "):
        read({**signed(), "signatures": [{**one, **beside}]})
