"""Which certificates are trusted: anchors, pinned leaves, and chains of version 1."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from pipeline.config.law import Law, Trust
from pipeline.config.model import PipelineConfig
from pipeline.config.reports import law_notes
from pipeline.law.reading.certificates import UntrustedError, trusted_by
from tests.signed_vcons import (
    NOW,
    Certified,
    Making,
    alone,
    between,
    certify,
    curve_key,
    der_of,
    root,
    rsa_key,
    signer,
    trust,
)

EARLY = Making(begins=NOW - timedelta(days=90), ends=NOW - timedelta(days=1))


def judged(one: Certified, by: Trust | None = None, x5c: list[str] | None = None) -> str:
    """What trusts it, or why nothing does."""
    try:
        return trusted_by(tuple(x5c or one.x5c), by or trust(), NOW)
    except UntrustedError as error:
        return str(error)


def leaf(by: Certified, **how: Any) -> Certified:
    """A signer below another certificate."""
    return certify("leaf", curve_key("leaf"), by, Making(**how))


def test_a_path_to_an_anchor() -> None:
    """The order of what is above the leaf, an included root and others do not matter."""
    assert judged(signer()) == "anchor"
    above = [b64encode(der_of(each)).decode() for each in (*signer().above, root().certificate)]
    mixed = [signer().x5c[0], *alone(signer("ES256")), *above[::-1]]
    assert judged(signer(), x5c=mixed) == "anchor"


def expired_between() -> Certified:
    """An authority that has expired."""
    return certify("old", curve_key("old"), root(), replace(EARLY, ca=True))


def too_deep() -> Certified:
    """An authority below one that may issue none."""
    return certify("deep", curve_key("deep"), between(), Making(ca=True))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: leaf(expired_between()), "no valid path"),
        (lambda: leaf(too_deep()), "no valid path"),
        (lambda: leaf(signer("ES256")), "no valid path"),
        (lambda: leaf(certify("other", curve_key("other"), making=Making(ca=True))), "no valid"),
        (lambda: leaf(between(), begins=EARLY.begins, ends=EARLY.ends), "has expired"),
        (lambda: leaf(between(), begins=NOW + timedelta(days=1)), "valid only from"),
        (lambda: leaf(between(), signs=False), "does not allow signatures"),
        (lambda: leaf(between(), ca=True), "that of an authority"),
        (lambda: certify("small", rsa_key("small", 1024), between()), "1024 bits"),
    ],
)
def test_what_is_not_trusted(make: Any, why: str) -> None:
    """Expired, of another authority, too long a path, no authority, too small a key."""
    assert why in judged(make())


def plain_authority(*extensions: x509.ExtensionType) -> Certified:
    """As `openssl req -x509` makes one: with these extensions only."""
    key = curve_key("plain")
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "plain")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(EARLY.begins).not_valid_after(NOW + timedelta(days=9))
    for each in extensions:
        builder = builder.add_extension(each, critical=True)
    return Certified(key, builder.sign(key, hashes.SHA256()))


@pytest.mark.parametrize(
    ("extensions", "lack"),
    [
        ((x509.BasicConstraints(True, None),), "has no keyUsage; an authority needs one with key"),
        ((), "has no basicConstraints; an authority needs CA:TRUE"),
        ((x509.BasicConstraints(False, None),), "is that of a signer (CA:FALSE)"),
    ],
)
def test_an_anchor_that_can_be_none_is_named(
    extensions: tuple[x509.ExtensionType, ...], lack: str
) -> None:
    """With what it lacks; so is such an authority in the middle of a chain."""
    own = plain_authority(*extensions)
    assert f"the anchor CN=plain {lack}" in judged(leaf(own), Trust(anchors=(own.pem,)))
    law = Law(trust=Trust(anchors=(own.pem, root().pem)))
    noted = [each for each in law_notes(PipelineConfig(law=law), NOW) if "no chain" in each]
    assert [each[: each.index("]")] for each in noted] == ["law.trust.anchors[0"]
    assert lack in noted[0]


def test_missing_certificates_are_not_fetched() -> None:
    """Without the authority in between there is no path."""
    assert "no valid path" in judged(signer(), x5c=alone(signer()))


def test_a_pinned_leaf_needs_no_path_but_its_dates() -> None:
    """A self-signed one, too; as an anchor it is none."""
    own = certify("own", curve_key("own"))
    assert judged(own, Trust(pinned=(own.digest,)), alone(own)) == "pinned"
    assert "pin it" in judged(own, Trust(anchors=(own.pem,)), alone(own))
    old = certify("own", curve_key("own"), making=EARLY)
    assert "has expired" in judged(old, Trust(pinned=(old.digest,)), alone(old))
    assert "has no anchors" in judged(own, Trust(), alone(own))


def as_version_1(one: Certified, by: Certified) -> Certified:
    """The certificate without extensions, as X.509 version 1 has it, signed again."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    old = one.certificate
    body = old.tbs_certificate_bytes
    header = 4 if body[1] == 0x82 else 3 if body[1] == 0x81 else 2
    inside = body[header:]
    assert inside[:5] == b"\xa0\x03\x02\x01\x02"
    inside = inside[5:]
    inside = inside[: inside.rindex(b"\xa3", 0, _extensions_at(inside) + 1)]
    made = _sequence(inside)
    assert isinstance(by.key, ec.EllipticCurvePrivateKey)
    signature = by.key.sign(made, ec.ECDSA(hashes.SHA256()))
    algorithm = _sequence(bytes.fromhex("06082a8648ce3d040302"))
    bits = b"\x03" + _length(len(signature) + 1) + b"\0" + signature
    whole = x509.load_der_x509_certificate(_sequence(made + algorithm + bits))
    return Certified(one.key, whole, (by.certificate, *by.above))


def _extensions_at(inside: bytes) -> int:
    """Where the extensions begin: the last element of the body."""
    at = 0
    while True:
        size, head = inside[at + 1], 2
        if size & 0x80:
            count = size & 0x7F
            size, head = int.from_bytes(inside[at + 2 : at + 2 + count]), 2 + count
        if at + head + size == len(inside):
            return at
        at += head + size


def _length(size: int) -> bytes:
    if size < 128:
        return bytes([size])
    digits = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([0x80 | len(digits)]) + digits


def _sequence(content: bytes) -> bytes:
    return b"\x30" + _length(len(content)) + content


def test_version_1_needs_legacy_chains() -> None:
    """Then each certificate must be issued by the next and be valid, and the last an anchor."""
    old = as_version_1(signer("ES256"), between())
    assert old.certificate.version.name == "v1"
    lack = "the signer's certificate CN=signer ES256 is of X.509 version 1, which needs law."
    assert f"no valid path to an anchor of law.trust: {lack}" in judged(old)
    legacy = replace(trust(), legacy_chains=True)
    assert judged(old, legacy) == "legacy"
    assert judged(signer(), legacy) == "anchor"
    gone = as_version_1(leaf(between(), begins=EARLY.begins, ends=EARLY.ends), between())
    assert "has expired" in judged(gone, legacy)
    middle = expired_between()
    assert "has expired" in judged(as_version_1(leaf(middle), middle), legacy)
    other = certify("other", curve_key("other"), making=Making(ca=True))
    assert "no path" in judged(as_version_1(leaf(other), other), legacy)
    no_authority = signer("ES256")
    assert "no path" in judged(as_version_1(leaf(no_authority), no_authority), legacy)
