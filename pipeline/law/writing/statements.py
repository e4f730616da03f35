"""Statements of this service that others can verify, such as that a vCon was erased.

A statement is a JWS in compact form (RFC 7515): three texts in base64url, joined by dots, which
jwcrypto, joserfc and `step crypto jws verify` read, and openssl after decoding. Its payload is a
JSON object in the form of RFC 8785. All of its header is protected:

- `alg`: that of the key, see `signing_key.py`;
- `typ`: what kind of statement it is. A reader asks for one kind, so a signed request to erase a
  vCon cannot be shown as the statement that it was erased;
- `kid`: the thumbprint of the key (RFC 7638);
- `x5c`: its certificates, if it has any.
"""

from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson

from core.errors import InvalidError, TooLargeError
from pipeline.config.law import LawKey, Trust
from pipeline.law.canonical_json import canonical
from pipeline.law.writing.signing_key import algorithm_of, base64url, jose_key, signing_key

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from pipeline.law.writing.signing_key import Key

type Kind = Literal[
    "vcon-erasure-statement+json", "vcon-erasure-request+json", "vcon-ledger-checkpoint+json"
]
ERASURE_STATEMENT: Final = "vcon-erasure-statement+json"
"""That a vCon, or what is known of a party, was erased, with the exceptions."""
ERASURE_REQUEST: Final = "vcon-erasure-request+json"
"""A message to a receiver of a vCon: it must be erased there."""
CHECKPOINT: Final = "vcon-ledger-checkpoint+json"
"""How many rows the ledger had at a time, and the hash of the last."""

MEDIA_TYPE: Final = "application/jose"
"""Of a statement as the body of a request or an answer (RFC 7515, 9.2.1)."""
MOST_CHARACTERS = 20_000_000
"""Characters of a statement that is verified."""
MOST_CERTIFICATES = 8
_PARTS = 3
_PUBLIC = "-----BEGIN PUBLIC KEY-----"


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that was verified.

    `key`: the thumbprint of its key (RFC 7638). `subject`: of its certificate, "" if it has none.
    """

    content: Mapping[str, Any]
    algorithm: str
    key: str
    subject: str


def signed(content: Mapping[str, Any], kind: Kind, key: LawKey) -> str:
    """The statement: ASCII text without line breaks.

    Raises:
        ValueError: the content has no form of RFC 8785, such as an integer beyond 2^53-1.
    """
    signer = signing_key(key)
    header: dict[str, Any] = {"alg": signer.algorithm, "typ": kind, "kid": signer.thumbprint}
    if signer.x5c:
        header["x5c"] = list(signer.x5c)
    payload = base64url(canonical(dict(content)))
    entry = signer.entry(payload, header)
    return f"{entry['protected']}.{payload}.{entry['signature']}"


def verified(text: str, kind: Kind, anchors: Sequence[str], now: datetime) -> Statement:
    """Verify a statement of this kind; white space around it is ignored.

    `anchors` are PEM texts of what the reader trusts: the public key or the certificate of the
    signer, or certificates of an authority above it. Certificates must be valid at `now`, which has
    a time zone; a key that is given as such has no end.

    Raises:
        InvalidError: it is no such statement, was changed, or is by a key that is not trusted.
        TooLargeError: it exceeds the limits.
    """
    text = text.strip()
    protected, payload, signature = _parts(text)
    header = _header(protected, kind)
    key, subject = _signer(header, anchors, now)
    if header["alg"] != algorithm_of(key):
        raise InvalidError(f"header: alg {header['alg']!a:.40} does not fit the key")
    from joserfc.jws import JWSRegistry  # noqa: PLC0415 -- only where there are statements

    content = text.rpartition(".")[0].encode()
    if not JWSRegistry.algorithms[header["alg"]].verify(content, signature, key):
        raise InvalidError("the signature is wrong: the statement was changed")
    return Statement(_object("payload", payload), header["alg"], header["kid"], subject)


def unverified(text: str) -> Mapping[str, Any]:
    """The content of a statement whose signer does not matter, such as one that the reader kept.

    Raises:
        InvalidError: it is no statement.
        TooLargeError: it exceeds the limit.
    """
    _, payload, _ = _parts(text.strip())
    return _object("payload", payload)


def _parts(text: str) -> tuple[bytes, bytes, bytes]:
    if len(text) > MOST_CHARACTERS:
        msg = f"the statement has {len(text)} characters; at most {MOST_CHARACTERS} are read"
        raise TooLargeError(msg)
    parts = text.split(".")
    if len(parts) != _PARTS:
        msg = "expected a statement: a JWS in compact form, three texts joined by dots"
        raise InvalidError(msg)
    header, payload, signature = (_decoded(part) for part in parts)
    return header, payload, signature


def _decoded(text: str) -> bytes:
    """The bytes of base64url without padding, in the one spelling that each has."""
    try:
        content = b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except ValueError:
        content = None
    if content is None or base64url(content) != text:
        raise InvalidError("expected a statement: its three texts must be base64url")
    return content


def _object(name: str, text: bytes) -> Mapping[str, Any]:
    try:
        value = orjson.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict) or _form(value) != text:
        raise InvalidError(f"{name}: expected a JSON object in the form of RFC 8785")
    return value


def _form(value: Mapping[str, Any]) -> bytes:
    try:
        return canonical(value)
    except (RecursionError, ValueError):
        return b""


def _header(text: bytes, kind: Kind) -> Mapping[str, Any]:
    header = _object("header", text)
    if unknown := set(header) - {"alg", "typ", "kid", "x5c"}:
        raise InvalidError(f"header: {min(unknown)!a:.80} is not known")
    if header.get("typ") != kind:
        found = f"{header.get('typ')!a:.80}"
        raise InvalidError(f"header: expected the kind (typ) {kind}, found {found}")
    if not all(isinstance(header.get(name), str) for name in ("alg", "kid")):
        raise InvalidError("header: expected alg and kid as texts")
    return header


def _certificates(x5c: object) -> "list[Certificate]":
    from cryptography.x509 import load_der_x509_certificate  # noqa: PLC0415

    if not isinstance(x5c, list) or not all(isinstance(each, str) for each in x5c):
        raise InvalidError("header: x5c must be a list of texts")
    if len(x5c) > MOST_CERTIFICATES:
        msg = f"header: x5c has {len(x5c)} certificates; at most {MOST_CERTIFICATES} are read"
        raise TooLargeError(msg)
    try:
        return [load_der_x509_certificate(b64decode(each, validate=True)) for each in x5c]
    except ValueError:
        raise InvalidError("header: x5c must have certificates in base64 of DER") from None


def _signer(header: Mapping[str, Any], anchors: Sequence[str], now: datetime) -> "tuple[Key, str]":
    """The trusted key of a statement, and the subject of its certificate.

    Raises:
        InvalidError: it is not trusted.
    """
    from pipeline.law.reading.certificates import trusted_by  # noqa: PLC0415 -- 0.2 s

    chain = _certificates(header.get("x5c", []))
    if chain and _key_of(chain[0]).thumbprint() != header["kid"]:
        raise InvalidError("header: kid is not the thumbprint of the key of x5c")
    given = [each for pem in anchors for each in _anchors(pem)]
    for key, certificate in given:
        if key.thumbprint() == header["kid"]:
            if certificate is not None:
                _check_dates(certificate, now)
            named = certificate or (chain[0] if chain else None)
            return key, named.subject.rfc4514_string() if named else ""
    authorities = tuple(pem for pem in anchors if _PUBLIC not in pem)
    if not chain or not authorities:
        shown = f"{header['kid']!a:.80}"
        raise InvalidError(f"the key {shown} is not one of the trusted ones (anchors)")
    try:
        trusted_by(tuple(header["x5c"]), Trust(anchors=authorities), now)
    except ValueError as error:
        why = str(error).replace(" of law.trust", "")
        raise InvalidError(f"the signer's certificate is not trusted: {why}") from error
    return _key_of(chain[0]), chain[0].subject.rfc4514_string()


def check_anchors(pem: str) -> None:
    """Check that a PEM text is one with which `verified` can verify.

    Raises:
        InvalidError: it is not.
    """
    if not _anchors(pem):
        raise InvalidError("anchors: expected certificates or a public key in PEM")


def _anchors(pem: str) -> "list[tuple[Key, Certificate | None]]":
    """The certificates of a PEM text with their keys, or its public key.

    Raises:
        InvalidError: it has neither.
    """
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415
    from cryptography.x509 import load_pem_x509_certificates  # noqa: PLC0415

    try:
        if _PUBLIC in pem:
            return [(jose_key(load_pem_public_key(pem.encode())), None)]
        return [(_key_of(each), each) for each in load_pem_x509_certificates(pem.encode())]
    except ValueError:
        raise InvalidError("anchors: expected certificates or a public key in PEM") from None


def _key_of(certificate: "Certificate") -> "Key":
    """Its public key.

    Raises:
        InvalidError: it is of a kind that is not known.
    """
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415

    try:
        return jose_key(certificate.public_key())
    except (UnsupportedAlgorithm, ValueError) as error:
        raise InvalidError("a certificate has a key that is not of RSA, EC or Ed25519") from error


def _check_dates(certificate: "Certificate", now: datetime) -> None:
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        raise InvalidError(
            f"the signer's certificate is valid from {first} to {last} only; once it has ended,"
            " verify with its public key (openssl x509 -pubkey), if you know that it was not stolen"
        )
