"""vcon-server's module of this name, for storages and links that import it."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from lib.scitt.cose import sign
from lib.scitt.statements import HASHES, headers, key_of_file

__all__ = ["create_hashed_signed_statement", "open_signing_key"]


def open_signing_key(key_file: str) -> ec.EllipticCurvePrivateKey:
    """The private key in a PEM file. Raises ValueError with the path."""
    return key_of_file(key_file)


def create_hashed_signed_statement(
    issuer: str,
    signing_key: Any,
    subject: str,
    kid: bytes | str = b"testkey",
    meta_map: dict[str, str] | None = None,
    payload: bytes | str | None = None,
    payload_hash_alg: str = "SHA-256",
    payload_location: str | None = None,
    pre_image_content_type: str | None = None,
) -> bytes:
    """A COSE_Sign1 message with the payload as it is, which the caller has hashed.

    `signing_key` is a key of `cryptography` or of the package `ecdsa`, on the curve P-256.

    Raises:
        KeyError: for another hash algorithm than SHA-256, SHA-384 and SHA-512.
    """
    key = _key(signing_key)
    head = headers(
        key.public_key(),
        issuer=issuer,
        subject=subject,
        kid=_as_bytes(kid),
        meta=meta_map,
        algorithm=HASHES[payload_hash_alg],
        location=payload_location,
        content_type=pre_image_content_type,
    )
    return sign(head, _as_bytes(payload or b""), key)


def _key(given: Any) -> ec.EllipticCurvePrivateKey:
    if isinstance(given, ec.EllipticCurvePrivateKey):
        return given
    secret = int.from_bytes(given.to_string())  # `ecdsa.SigningKey`: the number, big-endian
    return ec.derive_private_key(secret, ec.SECP256R1())


def _as_bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else value
