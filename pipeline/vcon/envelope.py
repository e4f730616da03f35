"""Signed and encrypted vCons (JWS, RFC 7515; JWE, RFC 7516, both as JSON): kept as they are.

Nothing is verified or decrypted. An envelope only gets, beside its own members, those by which
every vCon is found and which links and storages expect: `vcon`, `uuid`, `created_at` and the four
lists. Both RFCs let other members stand there and tell readers to ignore them, and no signature
covers them. They are taken from the payload of a JWS, which may be gzip and may be signed again, or
from the headers of a JWE. A JWE that keeps to the draft has no time anywhere.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from core.errors import InvalidError, MalformedError, TooLargeError
from core.phoenix.lenient_json import UNREADABLE, Unreadable, loads, may_be_rounded
from pipeline.config.parser import Chain
from pipeline.config.sections import meant
from pipeline.law.reading.forms import form_of
from pipeline.law.reading.packing import (
    MAGIC,
    UnpackedTooLargeError,
    loose_base64url,
    parsed,
    unpacked,
)
from schemas.packed import WANTED, packed_bytes
from schemas.uuids import canonical_uuid
from schemas.vcon import CANONICAL_VERSION, Document, Finding

# Critical extensions of a vCon (`critical`; `must_support` until 0.3.0).
#
# The core draft: a vCon whose `critical` names an extension that is not known must not be
# processed, except to reject or report it. A chain lists in `extensions` those that its links know.

KNOWN = frozenset({"CC", "wtf_transcription"})
"""Extensions that only add members, which are kept as they are and ask for nothing else.

`lawful_basis` is not among them: a vCon that names it critical requires the basis to be checked.
"""

_NAMES = ("critical", "must_support")


def check_accepted(
    document: Document, chains: Iterable[Chain], payload: Document | None = None
) -> None:
    """Check that each chain accepts the document: its form and its critical extensions.

    `payload` is that of a signed vCon, if it was decoded already.

    Raises:
        InvalidError: one of the chains does not accept it.
    """
    chains = list(chains)
    check_envelope(document, chains)
    if is_envelope(document):
        payload = payload or inside(document)
    check_extensions([*critical_names(document), *critical_names(payload or {})], chains)


def check_extensions(names: Iterable[str], chains: Iterable[Chain]) -> None:
    """Check that each of the chains knows these extensions.

    Raises:
        InvalidError: one of them does not.
    """
    names = list(names)
    for chain in chains:
        if refusal := unknown_to(chain, names):
            raise InvalidError(refusal)


def unknown_to(chain: Chain, names: Iterable[str]) -> str:
    """The error if a chain may not process a vCon with these critical extensions; else empty."""
    unknown = [name for name in dict.fromkeys(names) if name not in {*KNOWN, *chain.extensions}]
    if not unknown:
        return ""
    near = meant(unknown[0], chain.extensions)
    hint = f"; did you mean {unknown[0]!a:.80} where it lists {near!a}?" if near else ""
    listed = ", ".join(f"{name!a:.80}" for name in unknown[:10])
    return (
        f"The vCon must not be processed without knowing the extension {listed} (critical); "
        f"chain {chain.name} does not list it in extensions{hint}"
    )


def critical_names(document: Mapping[str, Any]) -> list[str]:
    """The extensions that a vCon names as critical, under today's name or the older one."""
    return [name for key in _NAMES for name in _flat(document.get(key))]


def named_in(text: str) -> list[str]:
    """The names in the JSON that the scripts return, at any depth; empty for no text."""
    return list(_flat(orjson.loads(text))) if text else []


def _flat(value: object) -> Iterator[str]:
    """Every text in a value; a value that is neither text nor container counts as a name."""
    if isinstance(value, list | dict):
        for each in value:
            yield from _flat(each)
    elif value is not None:
        yield str(value)


def as_object(given: object, most_bytes: int) -> Mapping[str, Any]:
    """A vCon given as an object, as bytes of JSON or of gzip, or as gzip in base64.

    Raises:
        InvalidError: it is none of these.
        TooLargeError: unpacked it has more than `most_bytes`.
    """
    try:
        if isinstance(given, bytes) and not given.startswith(MAGIC):
            given = _value(given)
        if isinstance(given, str):
            given = packed_bytes(given)
        document = _value(unpacked(given, most_bytes)) if isinstance(given, bytes) else given
    except UnpackedTooLargeError as error:
        msg = f"the vCon has more than {most_bytes} bytes unpacked; at most so many are taken"
        raise TooLargeError(msg) from error
    except ValueError as error:
        raise InvalidError(f"vcon: {error}") from error
    if not isinstance(document, Mapping):
        raise InvalidError(f"vcon: {WANTED}")
    return document


def _value(text: bytes) -> Any:
    """The value of JSON text that a request held; errors name the place in the request."""
    value, failure = None, None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        failure = MalformedError(f"vcon: {error}", error.pos)
    refusal = _unreadable(text) if failure or may_be_rounded(text) else None
    if problem := refusal or failure:
        raise problem
    return value


def _unreadable(text: bytes) -> InvalidError | None:
    """The error for JSON that this service refuses, such as a number of 400 digits."""
    try:
        fields = loads(b'[{"fields":{"vcon":%b}}]' % text)[0]["fields"]
    except ValueError:  # no JSON
        return None
    return InvalidError(UNREADABLE.format(fields.why)) if isinstance(fields, Unreadable) else None


MOST_LAYERS = 64
"""Nested signatures (core 5.2.3, long-term archiving)."""

MOST_BYTES = 8_000_000
"""The most bytes that a packed payload may hold, unless the caller says another number."""

_ADDRESS = ("vcon", "uuid", "created_at")


def is_envelope(document: Document) -> bool:
    """Whether a document is signed or encrypted, or a vCon that carries its signed form."""
    has_either = "payload" in document or "ciphertext" in document  # most vCons have neither
    return has_either and form_of(document) != "unsigned"


def check_envelope(document: Document, chains: Iterable[Chain]) -> None:
    """Check that each of the chains accepts the form of this document.

    Raises:
        InvalidError: it is signed or encrypted, and one of the chains does not accept that.
    """
    if is_envelope(document):
        is_encrypted = form_of(document) == "encrypted"
        for chain in chains:
            opens = chain.decrypt_with if is_encrypted else chain.opens
            if not chain.allow_envelopes and not opens:
                raise InvalidError(unwelcome(chain))


def unwelcome(chain: Chain) -> str:
    """The error for an envelope in a chain that accepts open vCons only."""
    return (
        f"The vCon is signed or encrypted and is not opened here; chain {chain.name} takes "
        "open ones only (allow_envelopes is not set for it)"
    )


def addressed(envelope: Document, most_bytes: int = MOST_BYTES) -> Document:
    """An envelope with the members that every vCon has, where they can be found.

    Any other document is returned unchanged.
    """
    return (
        with_address(envelope, inside(envelope, most_bytes)) if is_envelope(envelope) else envelope
    )


def with_address(envelope: Document, payload: Document | None) -> Document:
    """`addressed` with a decoded payload: the result of `inside`."""
    found = payload or {}
    uuids = [] if "uuid" in found else _header_uuids(envelope)
    address = {"uuid": uuids[0]} if uuids else {}
    address |= {name: found[name] for name in _ADDRESS if found.get(name) is not None}
    given = {name: value for name, value in envelope.items() if value is not None}
    return {**envelope, "vcon": CANONICAL_VERSION, **address, **given}


def inside(envelope: Document, most_bytes: int = MOST_BYTES) -> Document | None:
    """The readable part of an envelope: a JWS's payload, or a JWE's headers.

    None: its payload cannot be read, or is larger than `most_bytes` unpacked.
    """
    document: Document | None = envelope
    room = 4 * most_bytes  # for all layers together: in base64 each is a third larger
    for _ in range(MOST_LAYERS):
        if document is None or (form := form_of(document)) == "unsigned":
            return document
        if form == "encrypted":
            return _headers(document)
        room -= len(document["payload"]) if isinstance(document["payload"], str) else 0
        document = _decoded(document["payload"], most_bytes) if room > 0 else None
    return None


def envelope_findings(
    envelope: Document, payload: Document | None, most_bytes: int = MOST_BYTES
) -> Iterator[Finding]:
    """Findings about an envelope itself: it cannot be opened, or its uuids differ.

    `payload` is the result of `inside`.
    """
    if form_of(envelope) == "signed":
        yield from _payload_findings(envelope, payload, most_bytes)
    elif not isinstance(envelope["ciphertext"], str) or not envelope["ciphertext"]:
        yield Finding("error", "ciphertext", "expected a text in base64url")
    told = [(payload or {}).get("uuid"), *_header_uuids(envelope), envelope.get("uuid")]
    if len({canonical_uuid(uuid) for uuid in told if uuid is not None}) > 1:
        yield Finding("error", "uuid", "is not the uuid inside the envelope")


def _payload_findings(
    envelope: Document, payload: Document | None, most_bytes: int
) -> Iterator[Finding]:
    if payload is None:
        limit = f" of at most {most_bytes} bytes unpacked"
        yield Finding("error", "payload", f"expected a vCon in base64url{limit}")
    signatures = envelope.get("signatures")
    if "signatures" in envelope and (not isinstance(signatures, list) or not signatures):
        yield Finding("error", "signatures", "expected a list with at least one signature")


def _headers(envelope: Document) -> Document:
    """The headers of a JWE; of a name in both, the protected one counts."""
    shared = envelope.get("unprotected")
    unprotected = shared if isinstance(shared, dict) else {}
    return {**unprotected, **(_header(envelope.get("protected")) or {})}


def _header_uuids(envelope: Document) -> list[object]:
    """The uuids in the headers of the envelope, its signatures and its recipients."""
    found = []
    for part in [envelope, *_parts(envelope, "signatures"), *_parts(envelope, "recipients")]:
        headers = [part.get("header"), part.get("unprotected")]
        headers.append(_header(part.get("protected")))
        found += [each["uuid"] for each in headers if isinstance(each, dict) and each.get("uuid")]
    return found


def _parts(envelope: Document, name: str) -> list[Document]:
    parts = envelope.get(name)
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def _header(text: Any) -> Document | None:
    """A protected header: never gzip, of which there could be as many as there are signatures."""
    return _decoded(text, most_bytes=0)


def _decoded(text: Any, most_bytes: int) -> Document | None:
    try:
        value = parsed(loose_base64url(text), most_bytes)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
