"""Certificates of signers: read from `x5c`, and followed to a configured anchor.

A path is validated by `cryptography.x509.verification` (RFC 5280: signatures, dates, names, CA
flag, path length). Its policy for leaves is that of web servers, so leaves are checked here: key
size, key usage, no CA. A leaf may be pinned by its SHA-256 in place of a path. With
`legacy_chains`, certificates of X.509 version 1, which have no CA flag, may be in a path; each of
its certificates must then be issued directly by the next, and be valid by its dates.

Nothing is fetched: no `x5u`, no revocation list, no OCSP.
"""

import hashlib
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import (
    BasicConstraints,
    Certificate,
    DuplicateExtension,
    ExtensionNotFound,
    InvalidVersion,
    KeyUsage,
    UnsupportedGeneralNameType,
    Version,
    load_der_x509_certificate,
    load_pem_x509_certificates,
)
from cryptography.x509.verification import (
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from core.errors import TooLargeError
from pipeline.config.law import Trust
from pipeline.config.law_section.pem import fault, subject_of
from pipeline.law.reading.forms import LIMITS, Limits

type TrustedBy = Literal["anchor", "pinned", "legacy"]

_REMEMBERED = 256
_LONGEST = 16_000
"""Characters of one certificate."""
_BEFORE_NAME, _AFTER_NAME = "<Certificate(subject=<Name(", ")>, ...)>"
"""What messages of `cryptography` have around the subject of a certificate."""
_SMALLEST_RSA, _SMALLEST_CURVE = 2048, 256


class UntrustedError(ValueError):
    """The signature may be right, but its certificate is not trusted; the text says why."""


@dataclass(frozen=True, slots=True)
class Path:
    """A leaf's way to what is trusted. The certificates are those whose dates count."""

    trusted_by: TrustedBy
    certificates: tuple[Certificate, ...]

    def check_dates(self, now: datetime) -> None:
        """Check that each certificate is valid at this time.

        Raises:
            UntrustedError: one is not.
        """
        for each in self.certificates:
            _check_dates(each, now)


def certificates_of(x5c: object, limits: Limits) -> tuple[str, ...]:
    """The members of `x5c`, leaf first, each base64 of DER.

    Raises:
        TooLargeError: there are more than `limits.chain`.
        ValueError: it is no list of certificates.
    """
    if not isinstance(x5c, list) or not x5c:
        raise ValueError("x5c: expected a list of certificates")
    if len(x5c) > limits.chain:
        raise TooLargeError(f"x5c: has {len(x5c)} certificates; at most {limits.chain} are read")
    for each in x5c:
        if not isinstance(each, str) or len(each) > _LONGEST:
            raise ValueError(f"x5c: expected texts of at most {_LONGEST} characters")
    return tuple(x5c)


@lru_cache(maxsize=_REMEMBERED)
def certificate(text: str) -> Certificate:
    """The certificate in standard base64 of its DER.

    Raises:
        ValueError: it is none.
    """
    try:
        found = load_der_x509_certificate(b64decode(text, validate=True))
        # each of these is read only now, and raises what is wrong in it
        _ = found.version, found.subject, found.issuer, found.extensions, found.public_key()
        _ = found.not_valid_before_utc, found.not_valid_after_utc
    except (
        *(ValueError, TypeError, UnsupportedAlgorithm),
        *(DuplicateExtension, InvalidVersion, UnsupportedGeneralNameType),
    ) as error:
        msg = "x5c: expected certificates in base64 (standard alphabet) of DER"
        raise ValueError(msg) from error
    if found.serial_number <= 0:
        raise ValueError("x5c: a serial number is not positive, which RFC 5280 forbids")
    return found


@lru_cache(maxsize=_REMEMBERED)
def digest_of(text: str) -> str:
    """SHA-256 of the DER of a certificate in base64, in hex, as `law.trust.pinned` has it."""
    return hashlib.sha256(b64decode(text)).hexdigest()


def trusted_by(x5c: tuple[str, ...], trust: Trust, now: datetime) -> TrustedBy:
    """What makes the leaf of this chain a trusted one at this time.

    Raises:
        UntrustedError: nothing does.
    """
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    try:
        path = _path(x5c, trust, hour)  # remembered: a signer signs many vCons
    except UntrustedError:  # such as of a certificate that began to be valid in this hour
        path = _found_path(x5c, trust, now)
    path.check_dates(now)
    return path.trusted_by


def _found_path(x5c: tuple[str, ...], trust: Trust, now: datetime) -> Path:
    chain = [certificate(each) for each in x5c]
    _check_leaf(chain[0])
    if digest_of(x5c[0]) in trust.pinned:
        return Path("pinned", (chain[0],))
    anchors = _anchors(trust.anchors)
    if not anchors:
        raise UntrustedError("its certificate is not pinned, and law.trust has no anchors")
    if trust.legacy_chains and any(each.version.value == 0 for each in (*chain, *anchors)):
        return Path("legacy", _direct_path(chain, anchors, now))
    return Path("anchor", _strict_path(chain, anchors, now))


_path = lru_cache(maxsize=_REMEMBERED)(_found_path)


@lru_cache(maxsize=16)
def _anchors(pems: tuple[str, ...]) -> tuple[Certificate, ...]:

    return tuple(each for pem in pems for each in load_pem_x509_certificates(pem.encode()))


def _strict_path(
    chain: Sequence[Certificate], anchors: Sequence[Certificate], now: datetime
) -> tuple[Certificate, ...]:

    policies = {
        "ca_policy": ExtensionPolicy.webpki_defaults_ca(),
        "ee_policy": ExtensionPolicy.permit_all(),
    }
    builder = PolicyBuilder().store(Store(list(anchors))).time(now).max_chain_depth(LIMITS.chain)
    verifier = builder.extension_policies(**policies).build_client_verifier()
    try:
        found = tuple(verifier.verify(chain[0], list(chain[1:])).chain)
    except (VerificationError, ValueError) as error:
        _check_dates(chain[0], now)
        why = _lacking(chain, anchors) or _readable(error)
        raise UntrustedError(f"no valid path to an anchor of law.trust: {why}") from error
    if len(found) == 1:
        raise UntrustedError("its certificate is an anchor itself; pin it in law.trust instead")
    for each in found:
        _check_key(each)
    return found


def _lacking(chain: Sequence[Certificate], anchors: Sequence[Certificate]) -> str | None:
    """Which certificate on the way keeps it from being one, and what it lacks."""
    if chain[0].version is Version.v1:
        return f"the signer's certificate {subject_of(chain[0])} {fault(chain[0])}"
    issuers = {each.issuer for each in chain}
    for kind, certificates in (("anchor", anchors), ("certificate in x5c", chain[1:])):
        for each in certificates:
            if each.subject in issuers and (lack := fault(each)):
                return f"the {kind} {subject_of(each)} {lack}"
    return None


def _readable(error: Exception) -> str:
    return str(error).replace(_BEFORE_NAME, "").replace(_AFTER_NAME, "")[:200]


def _direct_path(
    chain: Sequence[Certificate], anchors: Sequence[Certificate], now: datetime
) -> tuple[Certificate, ...]:
    """The path of `legacy_chains`: issued directly, valid by its dates, ends at an anchor."""
    path = [chain[0]]
    for _ in range(LIMITS.chain):
        last = path[-1]
        _check_dates(last, now)
        _check_key(last)
        if last in anchors and len(path) > 1:
            return tuple(path)
        issuers = (each for each in (*anchors, *chain[1:]) if each not in path)
        issuer = next((each for each in issuers if _has_issued(each, last, len(path) - 1)), None)
        if issuer is None:
            break
        path.append(issuer)
    raise UntrustedError("no path to an anchor of law.trust, also with legacy_chains")


def _has_issued(issuer: Certificate, issued: Certificate, below: int) -> bool:
    """Whether it has; one of version 3 must be a CA with room for `below` CAs under it."""
    try:
        if issuer.version.value > 0:
            rules = issuer.extensions.get_extension_for_class(BasicConstraints).value
            if not rules.ca or (rules.path_length is not None and rules.path_length < below):
                return False
        issued.verify_directly_issued_by(issuer)
    except (ExtensionNotFound, InvalidSignature, ValueError, TypeError):
        return False
    return True


def _check_leaf(leaf: Certificate) -> None:

    _check_key(leaf)
    extensions = leaf.extensions
    try:
        if extensions.get_extension_for_class(BasicConstraints).value.ca:
            raise UntrustedError("its certificate is that of an authority, not of a signer")
    except ExtensionNotFound:
        pass
    try:
        usage = extensions.get_extension_for_class(KeyUsage).value
    except ExtensionNotFound:
        return
    if not (usage.digital_signature or usage.content_commitment):
        raise UntrustedError("the key usage of its certificate does not allow signatures")


def _check_key(each: Certificate) -> None:

    key = each.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _SMALLEST_RSA:
        raise UntrustedError(
            f"an RSA key has {key.key_size} bits; at least {_SMALLEST_RSA} are needed"
        )
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size < _SMALLEST_CURVE:
        raise UntrustedError(
            f"a curve has {key.curve.key_size} bits; at least {_SMALLEST_CURVE} are needed"
        )


def _check_dates(each: Certificate, now: datetime) -> None:
    if now < each.not_valid_before_utc:
        raise UntrustedError(f"a certificate is valid only from {each.not_valid_before_utc} on")
    if now > each.not_valid_after_utc:
        raise UntrustedError(f"a certificate has expired on {each.not_valid_after_utc}")
