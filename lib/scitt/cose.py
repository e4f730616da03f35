"""Messages of the type COSE_Sign1 (RFC 9052) with ECDSA, and the keys that verify them.

Signatures are deterministic (RFC 6979): the same headers, payload and key make the same bytes, so a
service that is sent a statement twice can recognise it.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import cbor2
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import load_pem_private_key

ES256 = -7
ALGORITHM, KEY_ID = 1, 4
"""Labels of headers."""

_SIGN1 = 18
"""The CBOR tag of COSE_Sign1."""
_EC2 = 2
"""The COSE key type of an elliptic curve with both coordinates."""
_CURVES: Mapping[object, ec.EllipticCurve] = {
    1: ec.SECP256R1(),
    2: ec.SECP384R1(),
    3: ec.SECP521R1(),
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}
"""Curves by their number in COSE and their name in JOSE."""
_HASHES: Mapping[object, tuple[str, hashes.HashAlgorithm]] = {
    ES256: ("secp256r1", hashes.SHA256()),
    -35: ("secp384r1", hashes.SHA384()),
    -36: ("secp521r1", hashes.SHA512()),
}
"""Algorithms by number: the one curve that a key may have (RFC 9053), and the hash."""


class CoseError(ValueError):
    """The content is not the expected CBOR or COSE; the text says what is wrong with it."""


class Sign1(NamedTuple):
    """A message as parsed; `signed` is the protected header as bytes, a detached payload None."""

    signed: bytes
    protected: Mapping[Any, Any]
    unprotected: Mapping[Any, Any]
    payload: bytes | None
    signature: bytes


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that verifies, with its identifier if it has one."""

    kid: bytes | None
    key: ec.EllipticCurvePublicKey


def decoded(content: bytes, what: str) -> Any:
    """The CBOR value; `what` is named in the error.

    Raises:
        CoseError: if it is not CBOR, or an object has a name twice.
    """
    try:
        return cbor2.loads(content, allow_duplicate_keys=False)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError):
        raise CoseError(f"{what} is not valid CBOR") from None


def parse(content: bytes, what: str) -> Sign1:
    """A COSE_Sign1 with or without its tag.

    Raises:
        CoseError: if it is something else.
    """
    found = decoded(content, what)
    if isinstance(found, cbor2.CBORTag):
        found = found.value if found.tag == _SIGN1 else None
    if not isinstance(found, list | tuple) or len(found) != 4:
        raise CoseError(f"{what} is not a COSE_Sign1 message")
    signed, unprotected, payload, signature = found
    if not isinstance(signed, bytes) or not isinstance(signature, bytes):
        raise CoseError(f"{what} is not a COSE_Sign1 message")
    protected = decoded(signed, f"the protected header of {what}") if signed else {}
    if not isinstance(protected, Mapping) or not isinstance(unprotected, Mapping):
        raise CoseError(f"the headers of {what} are not maps")
    if payload is not None and not isinstance(payload, bytes):
        raise CoseError(f"the payload of {what} is not a byte string")
    return Sign1(signed, protected, unprotected, payload, signature)


def sign(protected: Mapping[Any, Any], payload: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    """A tagged message with ES256; `key` must be on the curve P-256."""
    head = cbor2.dumps(dict(protected))
    algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    r, s = decode_dss_signature(key.sign(_to_be_signed(head, payload), algorithm))
    signature = r.to_bytes(32) + s.to_bytes(32)
    return cbor2.dumps(cbor2.CBORTag(_SIGN1, [head, {}, payload, signature]))


def is_signed_by(message: Sign1, key: ec.EllipticCurvePublicKey, payload: bytes) -> bool:
    """Whether the signature over the message's headers and this payload is the key's."""
    algorithm = message.protected.get(ALGORITHM)
    known = _HASHES.get(algorithm) if isinstance(algorithm, int) else None
    if known is None:
        return False
    curve, kind = known
    size = (key.key_size + 7) // 8
    if key.curve.name != curve or len(message.signature) != 2 * size:
        return False
    halves = (message.signature[:size], message.signature[size:])
    signature = encode_dss_signature(*map(int.from_bytes, halves))
    try:
        key.verify(signature, _to_be_signed(message.signed, payload), ec.ECDSA(kind))
    except InvalidSignature:
        return False
    return True


def _to_be_signed(head: bytes, payload: bytes) -> bytes:
    return cbor2.dumps(["Signature1", head, b"", payload])


@lru_cache(maxsize=16)
def signing_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """A private key on the curve P-256 from PEM, or from the base64 of PEM.

    Raises:
        CoseError: if it is something else; the text has nothing of it.
    """
    wrong = "not an unencrypted private key on the curve P-256 in PEM, or its base64"
    try:
        text = pem if b"-----BEGIN" in pem else base64.b64decode(pem, validate=False)
        key = load_pem_private_key(text, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm, binascii.Error):
        raise CoseError(wrong) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise CoseError(wrong)
    return key


def coordinates(key: ec.EllipticCurvePublicKey) -> tuple[bytes, bytes]:
    """The coordinates x and y, as long as the curve's field."""
    numbers, size = key.public_numbers(), (key.key_size + 7) // 8
    return numbers.x.to_bytes(size), numbers.y.to_bytes(size)


def keys_of_cose(found: object) -> list[PublicKey]:
    """The usable keys of a COSE_Key, or of a set of them; others are left out."""
    members = found if isinstance(found, list | tuple) else [found]
    maps = [each for each in members if isinstance(each, Mapping) and each.get(1) == _EC2]
    keys = [(each.get(2), each.get(-1), each.get(-2), each.get(-3)) for each in maps]
    return _usable(keys)


def keys_of_jose(found: object) -> list[PublicKey]:
    """The usable keys of a JWK set; others are left out."""
    members = found.get("keys") if isinstance(found, Mapping) else None
    listed = members if isinstance(members, list | tuple) else ()
    maps = [each for each in listed if isinstance(each, Mapping) and each.get("kty") == "EC"]
    keys = [
        (_text(each.get("kid")), each.get("crv"), _bytes(each.get("x")), _bytes(each.get("y")))
        for each in maps
    ]
    return _usable(keys)


def _usable(keys: Sequence[tuple[object, object, object, object]]) -> list[PublicKey]:
    found = []
    for kid, name, x, y in keys:
        curve = _CURVES.get(name) if isinstance(name, int | str) else None
        if curve is None or not isinstance(x, bytes) or not isinstance(y, bytes):
            continue
        numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), curve)
        try:
            key = numbers.public_key()
        except ValueError:  # not a point of the curve
            continue
        found.append(PublicKey(kid if isinstance(kid, bytes) else None, key))
    return found


def _text(value: object) -> bytes | None:
    return value.encode("utf-8", "replace") if isinstance(value, str) else None


def _bytes(value: object) -> bytes | None:
    try:
        return base64.urlsafe_b64decode(f"{value}==") if isinstance(value, str) else None
    except ValueError:
        return None
