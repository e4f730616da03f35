"""The plaintext of an encrypted vCon, with the keys of `decrypt_with`.

jwcrypto decrypts. It refuses names that stand in two headers, as the working group's example has
them, so equal ones are removed from the unprotected side first; the protected header stays as it
was received, since its text is authenticated. Only what is listed here is accepted: no key wrapping
with passwords, whose cost the sender would choose, and no RSA 1.5.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import orjson
from jwcrypto.common import JWException
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK

from core.errors import InvalidError
from pipeline.config.law import LawKey
from pipeline.law.reading.forms import Layer, Limits, recipients_of
from pipeline.law.reading.headers import Joined, joined, protected_header
from pipeline.law.reading.packing import from_base64url
from schemas.vcon import Finding

KEY_ALGORITHMS = (
    "RSA-OAEP",
    "RSA-OAEP-256",
    "ECDH-ES",
    "ECDH-ES+A128KW",
    "ECDH-ES+A256KW",
)
CONTENT_ALGORITHMS = ("A128CBC-HS256", "A256CBC-HS512", "A128GCM", "A256GCM")

NO_KEY = "the vCon is encrypted, and no key of decrypt_with opens it"


class SealedError(InvalidError):
    """None of the keys opens the vCon."""


class Decrypted:
    """A plaintext, with what its headers told."""

    def __init__(self, content: bytes, headers: Sequence[Joined], encrypted: Layer) -> None:
        """`headers`: those of the recipients."""
        self.content = content
        self.findings = tuple(
            Finding("warning", f"recipients[{at}]", f"{name!a:.80} stands in two headers")
            for at, header in enumerate(headers)
            for name in header.twice
        )
        told = [(f"recipients[{at}].uuid", each.all.get("uuid")) for at, each in enumerate(headers)]
        told.append(("uuid", encrypted.get("uuid")))
        self.uuids = tuple((place, uuid) for place, uuid in told if uuid is not None)


def decrypted(encrypted: Layer, keys: Sequence[LawKey], limits: Limits) -> Decrypted:
    """Decrypt with the first of the keys that opens it for one of its recipients.

    Raises:
        SealedError: none does, or there is none.
        InvalidError: it is no encrypted form, or asks for what is not supported.
        TooLargeError: it exceeds the limits.
    """
    recipients = recipients_of(encrypted, limits)
    try:
        protected = protected_header(encrypted.get("protected"), limits.header)
        headers = [
            joined(protected, encrypted.get("unprotected"), each.get("header"))
            for each in recipients
        ]
        _check(encrypted, recipients, headers)
    except ValueError as error:
        raise InvalidError(f"encrypted: {error}") from error
    cleaned = _without_repetitions(encrypted, recipients, protected)
    for key in keys:
        content = _opened(cleaned, recipients, headers, key)
        if content is not None:
            return Decrypted(content, headers, encrypted)
    raise SealedError(NO_KEY)


def _check(encrypted: Layer, recipients: Sequence[Layer], headers: Sequence[Joined]) -> None:
    for each in recipients:
        from_base64url(each.get("encrypted_key", ""))
    for name in ("iv", "ciphertext", "tag", "aad"):
        if name != "aad" or name in encrypted:
            from_base64url(encrypted.get(name))
    for at, header in enumerate(headers):
        for name, allowed in (("alg", KEY_ALGORITHMS), ("enc", CONTENT_ALGORITHMS)):
            if header.all.get(name) not in allowed:
                got = f"{header.all.get(name)!a:.40}"
                raise ValueError(
                    f"recipients[{at}].{name}: {got} is not one of {', '.join(allowed)}"
                )


def _without_repetitions(
    encrypted: Layer, recipients: Sequence[Layer], protected: Layer
) -> dict[str, Any]:
    """What jwcrypto gets but the recipients: each name of a header in one place."""
    shared = encrypted.get("unprotected") or {}
    unprotected = {name: value for name, value in shared.items() if name not in protected}
    named = {*protected, *unprotected}
    kept = {
        name: encrypted[name]
        for name in ("protected", "iv", "ciphertext", "tag", "aad")
        if name in encrypted
    }
    cleaned = []
    for each in recipients:
        header = {
            name: value for name, value in (each.get("header") or {}).items() if name not in named
        }
        cleaned.append(
            {**each, "header": header}
            if header
            else {"encrypted_key": each.get("encrypted_key", "")}
        )
    return {**kept, **({"unprotected": unprotected} if unprotected else {}), "recipients": cleaned}


def _opened(
    cleaned: Layer, recipients: Sequence[Layer], headers: Sequence[Joined], key: LawKey
) -> bytes | None:
    """The plaintext, if this key opens it for one of the recipients."""
    jwk = _jwk(key.private)
    kind = "RSA" if jwk["kty"] == "RSA" else "ECDH"
    for at in range(len(recipients)):
        if not headers[at].all["alg"].startswith(kind):
            continue
        one = {**cleaned, "recipients": [cleaned["recipients"][at]]}
        token = JWE(algs=[*KEY_ALGORITHMS, *CONTENT_ALGORITHMS])
        try:
            token.deserialize(orjson.dumps(one).decode(), jwk)
        except (JWException, ValueError, TypeError, KeyError):
            continue
        return bytes(token.payload)
    return None


@lru_cache(maxsize=64)
def _jwk(pem: str) -> JWK:
    return JWK.from_pem(pem.encode())
