"""Signed and encrypted vCons at the door of chains that open them.

A chain opens signed vCons if it says `verify: report` or `required`, and encrypted ones if it has
`decrypt_with`. What it gets is the plain vCon inside; the signed original is kept beside that, see
`pipeline.redis_client.originals`. Redis has one document for each uuid, so of several chains that
one request names either all open it, or none.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from core.errors import InvalidError
from pipeline.config.law import LawKey, Trust
from pipeline.config.model import Chain
from pipeline.law.reading.forms import Form, Limits, form_of
from pipeline.vcon.envelope import as_object, inside
from pipeline.vcon.normalization import normalised
from schemas.packed import packed_bytes
from schemas.uuids import canonical_uuid
from schemas.vcon import Document

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AtDoor:
    """What chains get of a vCon: the plain vCon if they open it, else the vCon as it came.

    `original`: the signed form, empty if the vCon was not signed or is not opened.
    """

    vcon: Any
    original: bytes = field(default=b"", repr=False)
    warnings: tuple[str, ...] = ()
    is_opened: bool = False
    is_verified: bool = False


def at_door(
    vcon: object, chains: Sequence[Chain], trust: Trust, most_bytes: int, now: datetime
) -> AtDoor:
    """Open a vCon for these chains, given as `as_object` takes it; to be called in a thread.

    Raises:
        InvalidError: it is malformed, cannot be opened, is not verified where a chain demands that,
            or only some of the chains open it.
        TooLargeError: it exceeds one of the limits.
    """
    document = as_object(vcon, most_bytes)
    form = form_of(document)
    closed = [chain for chain in chains if not _opens_form(chain, form)]
    if form == "unsigned" or len(closed) == len(chains):
        _check_required(chains, "it is not signed" if form == "unsigned" else f"it is {form}")
        return AtDoor(vcon)
    if closed:
        opening = next(chain for chain in chains if chain not in closed)
        msg = (
            f"The vCon is {form}; chain {opening.name} opens it and chain {closed[0].name} does"
            " not, and there is one document for both; send it to one of them"
        )
        raise InvalidError(msg)
    return _opened(_text_or(vcon, document), chains, trust, Limits(most_bytes), now)


def _opened(
    given: Mapping[str, Any] | bytes,
    chains: Sequence[Chain],
    trust: Trust,
    limits: Limits,
    now: datetime,
) -> AtDoor:
    # imported for the first signed or encrypted vCon: it loads what cryptography needs
    from pipeline.law.reading.opening import opened, why_not_verified  # noqa: PLC0415

    found = opened(given, trust, shared_keys(chains), now, limits)
    why = why_not_verified(found)
    _check_required(chains, why)
    if why and any(chain.verify == "report" for chain in chains):
        uuid, names = (
            canonical_uuid(found.document.get("uuid")),
            ",".join(chain.name for chain in chains),
        )
        log.warning("vcon not verified", extra={"vcon": uuid, "chain": names})
    warnings = tuple(str(each) for each in found.findings)
    original = found.original or b""
    return AtDoor(found.document, original, warnings, True, found.verified)


def _opens_form(chain: Chain, form: Form) -> bool:
    return bool(chain.decrypt_with) if form == "encrypted" else chain.opens


def _check_required(chains: Iterable[Chain], why: str) -> None:
    for chain in chains:
        if why and chain.verify == "required":
            msg = f"The vCon is not verified, as chain {chain.name} demands (verify: required): "
            raise InvalidError(msg + why)


def shared_keys(chains: Sequence[Chain]) -> list[LawKey]:
    """The keys that each of the chains may decrypt with."""
    first, *others = chains
    return [key for key in first.decrypt_with if all(key in each.decrypt_with for each in others)]


def _text_or(vcon: object, document: Mapping[str, Any]) -> Mapping[str, Any] | bytes:
    """The JSON text of a vCon that came as one, also in gzip: the original is kept as it came."""
    content = packed_bytes(vcon)
    return content if isinstance(content, bytes) else document


_OF_RECEIPT = {"created_at", "created_at_source"}
"""Members of a vCon that came without a time."""


def is_unchanged(document: Document, original: bytes) -> bool:
    """Whether a document is that of the payload of this signed form, in the form of Redis."""
    payload = inside(orjson.loads(original))
    if payload is None:
        return False
    came = normalised(payload)
    names = {*document} if "created_at" in came else {*document} - _OF_RECEIPT
    return came == {name: value for name, value in document.items() if name in names}
