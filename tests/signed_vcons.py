"""Keys, certificates and signed or encrypted vCons for tests, made as the working group's are.

Nothing here is shared with the code that reads them: it signs with `cryptography` alone.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from pipeline.config.law import LawKey, Trust

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
UUID = "01983d7a-2b00-8000-9000-0123456789ab"

type Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@cache
def rsa_key(name: str = "leaf", bits: int = 2048) -> rsa.RSAPrivateKey:
    """An RSA key for each name, made once."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def curve_key(name: str = "ca") -> ec.EllipticCurvePrivateKey:
    """A key on P-256 for each name, made once."""
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Certified:
    """A key with its certificate, and those above it."""

    key: Private
    certificate: x509.Certificate
    above: tuple[x509.Certificate, ...] = ()

    @property
    def pem(self) -> str:
        """The certificate."""
        return pem_of(self.certificate)

    @property
    def x5c(self) -> list[str]:
        """The chain without its root, leaf first."""
        chain = (self.certificate, *self.above)
        return [b64encode(der_of(each)).decode() for each in chain if each.issuer != each.subject]

    @property
    def digest(self) -> str:
        """The SHA-256 of the certificate."""
        return hashlib.sha256(der_of(self.certificate)).hexdigest()

    def as_law_key(self, name: str = "k") -> LawKey:
        """The key as a configuration has it."""
        chain = "".join(pem_of(each) for each in (self.certificate, *self.above))
        return LawKey(name, private_pem(self.key), chain)


def der_of(each: x509.Certificate) -> bytes:
    """DER."""
    return each.public_bytes(serialization.Encoding.DER)


def alone(one: Certified) -> list[str]:
    """An `x5c` with its certificate only."""
    return [b64encode(der_of(one.certificate)).decode()]


def pem_of(each: x509.Certificate) -> str:
    """PEM."""
    return each.public_bytes(serialization.Encoding.PEM).decode()


def private_pem(key: Private) -> str:
    """PKCS #8 without a passphrase."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@dataclass(frozen=True)
class Making:
    """What is unusual about a certificate."""

    begins: datetime = NOW - timedelta(days=30)
    ends: datetime = NOW + timedelta(days=30 * 365)  # also for tests by the real clock
    ca: bool = False
    path_length: int | None = None
    signs: bool = True
    extra: tuple[x509.ExtensionType, ...] = field(default=())


def current() -> Making:
    """A certificate that is valid now by the clock."""
    now = datetime.now(UTC)
    return Making(now - timedelta(days=1), now + timedelta(days=1))


def certify(
    name: str, key: Private, by: Certified | None = None, making: Making = Making()
) -> Certified:
    """A certificate of version 3 for this key, issued by another or by itself."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer = by.certificate.subject if by else subject
    builder = (
        x509.CertificateBuilder(issuer, subject, key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(making.begins)
        .not_valid_after(making.ends)
        .add_extension(x509.BasicConstraints(making.ca, making.path_length), critical=True)
        .add_extension(_usage(making), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(
                (by.key if by else key).public_key()
            ),
            critical=False,
        )
    )
    if making.ca:
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(identifier, critical=False)
    for each in making.extra:
        builder = builder.add_extension(each, critical=False)
    signing = by.key if by else key
    algorithm = None if isinstance(signing, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    above = (by.certificate, *by.above) if by else ()
    return Certified(key, builder.sign(signing, algorithm), above)


def _usage(making: Making) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=making.signs,
        content_commitment=False,
        key_encipherment=not making.signs,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=making.ca,
        crl_sign=making.ca,
        encipher_only=False,
        decipher_only=False,
    )


@cache
def root() -> Certified:
    """An authority."""
    return certify("root", curve_key("root"), making=Making(ca=True))


@cache
def between() -> Certified:
    """An authority below it, which may issue no authorities."""
    return certify("between", curve_key("between"), root(), Making(ca=True, path_length=0))


@cache
def signer(kind: str = "RS256") -> Certified:
    """A signer below that, with a key for this algorithm."""
    keys: Mapping[str, Any] = {
        "RS256": rsa_key,
        "PS256": rsa_key,
        "ES256": lambda: curve_key("leaf"),
        "EdDSA": ed25519.Ed25519PrivateKey.generate,
    }
    return certify(f"signer {kind}", keys[kind](), between())


@cache
def trust() -> Trust:
    """Trust in `root`."""
    return Trust(anchors=(root().pem,))


def plain(**changes: Any) -> dict[str, Any]:
    """A vCon as core -04 has it: neither `vcon` nor `created_at`."""
    document = {
        "uuid": UUID,
        "parties": [{"tel": "+15550123", "name": "Ann"}],
        "dialog": [{"type": "text", "start": "2026-11-20T09:00:00Z", "parties": 0, "body": "hi"}],
    }
    return document | changes


def encoded(value: object) -> str:
    """Base64url of bytes, or of the JSON of a value."""
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def raw_signature(key: Private, algorithm: str, content: bytes) -> bytes:
    """The bytes of a signature, as RFC 7518 has them."""
    match key:
        case ed25519.Ed25519PrivateKey():
            return key.sign(content)
        case ec.EllipticCurvePrivateKey():
            r, s = utils.decode_dss_signature(key.sign(content, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32) + s.to_bytes(32)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    how = pss if algorithm == "PS256" else padding.PKCS1v15()
    return key.sign(content, how, hashes.SHA256())


def entry(
    payload: str,
    by: Certified | None = None,
    algorithm: str = "RS256",
    *,
    layout: str = "A",
    protected: Mapping[str, Any] | None = None,
    header: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One signature. `layout`: A, B or C; "wg" is that of the working group's example."""
    by = by or signer(algorithm)
    chain, uuid = {"x5c": by.x5c}, {"uuid": UUID}
    inside: dict[str, Any] = {"alg": algorithm}
    outside: dict[str, Any] = {}
    match layout:
        case "A":
            outside = chain | uuid
        case "B":
            inside |= chain | uuid
        case "C":
            outside = {"alg": algorithm} | chain | uuid
        case "wg":
            inside |= {"typ": "JWT"} | chain
            outside = {"alg": algorithm} | chain | uuid
    first = encoded(inside | dict(protected or {}))
    content = f"{first}.{payload}".encode()
    made: dict[str, Any] = {
        "protected": first,
        "signature": encoded(raw_signature(by.key, algorithm, content)),
    }
    if outside or header:
        made["header"] = outside | dict(header or {})
    return made


def signed(document: object = None, *layouts: str, **how: Any) -> dict[str, Any]:
    """A signed vCon with a signature in each of these layouts."""
    content = document if document is not None else plain()
    payload = content if isinstance(content, str) else encoded(content)
    entries = [entry(payload, layout=each, **how) for each in layouts or ("A",)]
    return {"payload": payload, "signatures": entries}
