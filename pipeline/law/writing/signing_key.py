"""A configured key as it is needed for signatures: its algorithm, certificates and thumbprints.

The algorithm follows from the kind of the key: RS256 for RSA, as the core draft recommends; ES256,
ES384 and ES512 for the curves P-256, P-384 and P-521; EdDSA for Ed25519.
"""

import hashlib
from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pipeline.config.law import LawKey
from pipeline.law.canonical_json import canonical

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    type Key = ECKey | OKPKey | RSAKey

_REMEMBERED = 32
_ALGORITHMS = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"}


@dataclass(frozen=True, slots=True)
class SigningKey:
    """`x5c`: its certificates in base64 of DER, its own first; empty if it has none.

    `thumbprint`: of the public key, RFC 7638. `digest`: SHA-256 of the first certificate's DER in
    hex, `x5t` the same in base64url; "" without certificates.
    """

    algorithm: str
    x5c: tuple[str, ...]
    thumbprint: str
    digest: str
    x5t: str
    _key: "Key" = field(repr=False)

    def entry(self, payload: str, protected: dict[str, Any]) -> dict[str, Any]:
        """`protected` and `signature` of a JWS (RFC 7515) over a payload in base64url."""
        from joserfc.jws import JWSRegistry  # noqa: PLC0415 -- only chains that sign need it

        header = base64url(canonical(protected))
        content = f"{header}.{payload}".encode()
        signature = JWSRegistry.algorithms[self.algorithm].sign(content, self._key)
        return {"protected": header, "signature": base64url(signature)}


def base64url(content: bytes) -> str:
    """The bytes in base64url without padding (RFC 7515, 2)."""
    return urlsafe_b64encode(content).rstrip(b"=").decode()


@lru_cache(maxsize=_REMEMBERED)
def signing_key(key: LawKey) -> SigningKey:
    """The key as it signs, remembered: to parse one of RSA takes a millisecond."""
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        load_pem_private_key,
    )
    from cryptography.x509 import load_pem_x509_certificates  # noqa: PLC0415

    private = load_pem_private_key(key.private.encode(), password=None)
    chain = load_pem_x509_certificates(key.chain.encode()) if key.chain else []
    ders = [each.public_bytes(Encoding.DER) for each in chain]
    parsed = jose_key(private)
    return SigningKey(
        algorithm=algorithm_of(parsed),
        x5c=tuple(b64encode(der).decode() for der in ders),
        thumbprint=parsed.thumbprint(),
        digest=hashlib.sha256(ders[0]).hexdigest() if ders else "",
        x5t=base64url(hashlib.sha256(ders[0]).digest()) if ders else "",
        _key=parsed,
    )


def algorithm_of(key: "Key") -> str:
    """The one signature algorithm with which this kind of key is used here."""
    return "RS256" if key.key_type == "RSA" else _ALGORITHMS[str(key.as_dict(private=False)["crv"])]


def jose_key(key: "PublicKeyTypes | Any") -> "Key":
    """A key of `cryptography`, private or public, as joserfc takes it.

    Raises:
        ValueError: it is not one of RSA, EC or Ed25519.
    """
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415
    from joserfc.jwk import ECKey, OKPKey, RSAKey  # noqa: PLC0415

    match key:
        case rsa.RSAPrivateKey() | rsa.RSAPublicKey():
            return RSAKey(key, key)
        case ec.EllipticCurvePrivateKey() | ec.EllipticCurvePublicKey():
            return ECKey(key, key)
        case ed25519.Ed25519PrivateKey() | ed25519.Ed25519PublicKey():
            return OKPKey(key, key)
    raise ValueError("must be a key of RSA, of EC or of Ed25519")


def public_pem(key: LawKey) -> str:
    """What a reader needs to trust the key: its certificates, or its public key, as PEM."""
    if key.chain:
        return key.chain
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        PublicFormat,
        load_pem_private_key,
    )

    public = load_pem_private_key(key.private.encode(), password=None).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
