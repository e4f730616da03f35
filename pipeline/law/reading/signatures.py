"""The signatures of a signed vCon.

The draft does not say which of several signatures must hold. Here every one must be right, by the
key of its own certificate, and at least one of them must be trusted. So no character of any
signature or protected header can change unnoticed, and a second signature of a party that is not
known here does no harm.

The signed bytes are `protected + "." + payload` as they were received; nothing is encoded again.
"""

import hashlib
from base64 import b64decode
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from core.errors import TooLargeError
from pipeline.config.law import Trust
from pipeline.law.reading.certificates import (
    TrustedBy,
    UntrustedError,
    certificate,
    certificates_of,
    digest_of,
    trusted_by,
)
from pipeline.law.reading.forms import Layer, Limits, signatures_of
from pipeline.law.reading.headers import Joined, joined, protected_header
from pipeline.law.reading.packing import from_base64url
from schemas.vcon import Finding


@dataclass(frozen=True, slots=True)
class Signer:
    """One right signature. `certificate` is the SHA-256 of its leaf's DER, in hex.

    `trusted_by` is None if its certificate is not trusted.
    """

    place: str
    algorithm: str
    subject: str
    certificate: str
    trusted_by: TrustedBy | None


@dataclass(frozen=True, slots=True)
class Signatures:
    """The result of a verification; `uuids` are those of the headers, with their places."""

    signers: tuple[Signer, ...]
    findings: tuple[Finding, ...]
    uuids: tuple[tuple[str, Any], ...]

    @property
    def verified(self) -> bool:
        """Whether all signatures are right, and at least one is trusted."""
        return not any(each.refuses for each in self.findings)


def verified(signed: Layer, trust: Trust, now: datetime, limits: Limits) -> Signatures:
    """Verify every signature of a signed form, whose payload is known to be base64url.

    Raises:
        InvalidError: it is no signed form.
        TooLargeError: it exceeds the limits.
    """
    signers: list[Signer] = []
    findings: list[Finding] = []
    uuids: list[tuple[str, Any]] = []
    for at, entry in enumerate(signatures_of(signed, limits)):
        place = f"signatures[{at}]"
        try:
            header = joined(
                protected_header(entry.get("protected"), limits.header), entry.get("header")
            )
            findings += [_twice(place, name) for name in header.twice]
            if header.all.get("uuid") is not None:
                uuids.append((f"{place}.uuid", header.all["uuid"]))
            chain = _check(signed["payload"], entry, header, trust, limits)
        except TooLargeError as error:
            raise TooLargeError(f"{place}.{error}") from error
        except ValueError as error:
            findings.append(Finding("error", place, str(error)))
            continue
        signer, why = _judged(place, header, chain, trust, now)
        signers.append(signer)
        if why:
            findings.append(Finding("warning", place, f"not trusted: {why}"))
    if signers and all(each.trusted_by is None for each in signers):
        findings = [_refusing(each) for each in findings]
    return Signatures(tuple(signers), tuple(findings), tuple(uuids))


def _twice(place: str, name: str) -> Finding:
    message = f"{name!a:.80} stands in two headers with the same value; RFC 7515 allows one"
    return Finding("warning", place, message)


def _refusing(finding: Finding) -> Finding:
    is_trust = finding.message.startswith("not trusted: ")
    return Finding("error", finding.path, finding.message) if is_trust else finding


def _check(
    payload: object, entry: Layer, header: Joined, trust: Trust, limits: Limits
) -> tuple[str, ...]:
    """The certificates of a right signature.

    Raises:
        ValueError: it is wrong, or it cannot be known whether it is right.
    """
    algorithm = header.protected.get("alg")
    if algorithm is None:
        raise ValueError("alg: must be in the protected header")
    if algorithm not in trust.algorithms:
        allowed = ", ".join(trust.algorithms)
        raise ValueError(f"alg: {algorithm!a:.40} is not one of {allowed} (law.trust.algorithms)")
    if "x5c" not in header.all:
        besides = "x5u is never fetched; " if "x5u" in header.all else ""
        raise ValueError(f"x5c: {besides}a chain of certificates is needed")
    chain = certificates_of(header.all["x5c"], limits)
    _check_thumbprints(header, chain[0])
    signature = from_base64url(entry.get("signature"))
    protected = entry.get("protected")
    assert isinstance(protected, str)
    assert isinstance(payload, str)
    if not _holds(algorithm, _key(chain[0]), f"{protected}.{payload}".encode(), signature):
        raise ValueError("the signature is wrong: the content was changed, or the key is another")
    return chain


_THUMBPRINTS = {"x5t": "sha1", "x5t#S256": "sha256"}


def _check_thumbprints(header: Joined, leaf: str) -> None:
    """Check that the header names the certificate that is there.

    Another certificate of the same key may stand for another person. Raises ValueError.
    """
    for name, algorithm in _THUMBPRINTS.items():
        if name in header.all:
            own = hashlib.new(algorithm, b64decode(leaf), usedforsecurity=False).digest()
            if from_base64url(header.all[name]) != own:
                raise ValueError(f"{name}: is not that of the first certificate of x5c")


_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_KINDS = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}


def _holds(algorithm: str, key: Key, content: bytes, signature: bytes) -> bool:
    kind, curve = _KINDS.get(algorithm[:2]), _CURVES.get(algorithm)
    if key.key_type != kind or (isinstance(key, ECKey) and key.curve_name != curve):
        raise ValueError(f"alg: {algorithm} does not fit the key of the certificate")
    return bool(JWSRegistry.algorithms[algorithm].verify(content, signature, key))


@lru_cache(maxsize=256)
def _key(text: str) -> Key:
    match key := certificate(text).public_key():
        case rsa.RSAPublicKey():
            return RSAKey(key, key)
        case ec.EllipticCurvePublicKey():
            return ECKey(key, key)
        case ed25519.Ed25519PublicKey():
            return OKPKey(key, key)
    raise ValueError("x5c: the key of the certificate is of an unknown kind")


def _judged(
    place: str, header: Joined, chain: tuple[str, ...], trust: Trust, now: datetime
) -> tuple[Signer, str]:
    """The signer, and why it is not trusted; "" if it is."""
    how: TrustedBy | None = None
    why = ""
    try:
        how = trusted_by(chain, trust, now)
    except UntrustedError as error:
        why = str(error)
    except ValueError as error:  # a certificate of its chain cannot be read
        why = str(error)
    algorithm = str(header.protected["alg"])
    return Signer(place, algorithm, _subject(chain[0]), digest_of(chain[0]), how), why


@lru_cache(maxsize=256)
def _subject(text: str) -> str:
    return certificate(text).subject.rfc4514_string()[:200]
