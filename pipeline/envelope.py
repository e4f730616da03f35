"""Signed and encrypted vCons (JWS, RFC 7515; JWE, RFC 7516, both as JSON): kept as they are.

Nothing is verified or decrypted. An envelope only gets, beside its own members, those by which
every vCon is found and which links and storages expect: `vcon`, `uuid`, `created_at` and the four
lists. Both RFCs let other members stand there and tell readers to ignore them, and no signature
covers them. They are taken from the payload of a JWS, which anybody can read, or from the headers
of a JWE.
"""

from base64 import b64decode
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from core.errors import InvalidError
from pipeline.config import Chain
from schemas.uuids import canonical_uuid
from schemas.vcon import CANONICAL_VERSION, Document, Finding

_ADDRESS = ("vcon", "uuid", "created_at")


def is_envelope(document: Document) -> bool:
    """Whether a document is signed or encrypted, or a vCon that carries its signed form."""
    signed = "payload" in document and ("signatures" in document or "signature" in document)
    return signed or "ciphertext" in document


def check_envelope(document: Document, chains: Iterable[Chain]) -> None:
    """See that each of the chains takes this document as far as its form goes.

    Raises:
        InvalidError: it is signed or encrypted, and one of the chains does not take such.
    """
    if is_envelope(document):
        for chain in chains:
            if not chain.allow_envelopes:
                raise InvalidError(unwelcome(chain))


def unwelcome(chain: Chain) -> str:
    """Why a chain does not take an envelope."""
    return (
        f"The vCon is signed or encrypted and is not opened here; chain {chain.name} takes "
        "open ones only (allow_envelopes is not set for it)"
    )


def addressed(envelope: Document) -> Document:
    """An envelope with the members that every vCon has, as far as it tells them anywhere.

    Any other document comes back as it is.
    """
    if not is_envelope(envelope):
        return envelope
    inside = _inside(envelope)
    told = {name: inside[name] for name in _ADDRESS if name in inside and name not in envelope}
    version = {} if "vcon" in envelope else {"vcon": CANONICAL_VERSION}
    return {**envelope, **version, **told}


def envelope_findings(envelope: Document) -> Iterator[Finding]:
    """What is wrong with an envelope itself: nobody could open it, or it is not what it says."""
    if "ciphertext" not in envelope:
        yield from _payload_findings(envelope)
    elif not isinstance(envelope["ciphertext"], str) or not envelope["ciphertext"]:
        yield Finding("error", "ciphertext", "expected a text in base64url")
    inside, outside = _inside(envelope).get("uuid"), envelope.get("uuid")
    if inside is not None and outside is not None and not _same(inside, outside):
        yield Finding("error", "uuid", "is not the uuid inside the envelope")


def _payload_findings(envelope: Document) -> Iterator[Finding]:
    if _decoded(envelope["payload"]) is None:
        yield Finding("error", "payload", "expected a vCon in base64url")
    signatures = envelope.get("signatures")
    if "signatures" in envelope and (not isinstance(signatures, list) or not signatures):
        yield Finding("error", "signatures", "expected a list with at least one signature")


def _same(inside: object, outside: object) -> bool:
    return canonical_uuid(inside) == canonical_uuid(outside)


def _inside(envelope: Document) -> Document:
    """What the envelope lets everybody read: a JWS's payload, or a JWE's headers."""
    if "ciphertext" not in envelope:
        return _decoded(envelope["payload"]) or {}
    shared = envelope.get("unprotected")
    unprotected = shared if isinstance(shared, dict) else {}
    return {**unprotected, **(_decoded(envelope.get("protected")) or {})}


def _decoded(text: Any) -> Document | None:
    if not isinstance(text, str):
        return None
    digits = text.rstrip("=")
    try:
        value = orjson.loads(b64decode(digits + "=" * (-len(digits) % 4), b"-_", validate=True))
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
