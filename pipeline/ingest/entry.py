"""One accepted vCon: validated, in canonical form, with its digests and its search terms.

The helper process imports this file for large vCons, so nothing here needs Redis or Postgres.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from core.concurrency.helper_process import Offload
from core.concurrency.thread_pool import in_own_thread, one_at_a_time
from core.errors import InvalidError, TooLargeError
from pipeline.config.law import Law, Trust
from pipeline.config.model import Chain
from pipeline.law.reading.packing import MAGIC
from pipeline.media.rules import NOTHING, Rule, TakenText, in_force, stripped_text
from pipeline.redis_client.document_pieces import Pieces, divided, is_large
from pipeline.vcon.envelope import (
    as_object,
    check_accepted,
    inside,
    is_envelope,
    with_address,
)
from pipeline.vcon.fields import holds_storable
from pipeline.vcon.normalization import (
    created_at_epoch,
    dated,
    normalised,
    search_keys,
    sorted_text,
)
from pipeline.vcon.opened import at_door
from pipeline.vcon.validation import findings
from schemas.vcon import RECEIVED, SOURCES


@dataclass(frozen=True, slots=True)
class Entry:
    """One canonical vCon. `created_at` is in epoch seconds.

    `warnings` are for the caller and are not stored. `received` is the time of receipt (ISO 8601)
    if the vCon came without a time; else empty.
    """

    vcon_uuid: str
    document: bytes
    created_at: float
    digest: str
    index_keys: Sequence[str]
    warnings: list[str] = field(default_factory=list)
    earlier_digest: str = ""
    received: str = ""
    large: bool | None = None
    """Whether Redis gets it in pieces; None: not determined yet."""
    pieces: Pieces | None = None
    """Those, if they are made."""
    original: bytes = field(default=b"", repr=False)
    """The signed form in which the vCon came, if a chain has opened it."""
    verified_under: Trust | None = None
    """Whose signatures count for these chains, if the original is verified."""
    taken: TakenText | None = None
    """What Redis gets in place of the document, where bodies are kept beside it."""

    @property
    def digests(self) -> tuple[str, ...]:
        """The digest of the content, and the digest as the release before computed it.

        The first does not depend on the order of members. The second is compared with digests that
        the release before has written to Redis.
        """
        return tuple(filter(None, (self.digest, self.earlier_digest)))

    @property
    def in_redis(self) -> bytes:
        """The JSON that Redis gets."""
        return self.document if self.taken is None else self.taken.text

    @property
    def media(self) -> Mapping[str, bytes]:
        """Bodies that are written beside it, by name."""
        parts = self.taken.parts if self.taken is not None else {}
        return {name: self.document[at:end] for name, (at, end) in parts.items()}

    def received_at(self, first: str) -> bytes:
        """The document with its first time of receipt, for one that has come in before."""
        if not first or first == self.received:
            return self.document
        return orjson.dumps({**orjson.loads(self.document), "created_at": first})


def entry_of(
    vcon: object, most_bytes: int, chains: Iterable[Chain] = (), media: Rule = NOTHING
) -> Entry:
    """The canonical form of a vCon that all these chains accept; `media` are taken out of it.

    Raises:
        InvalidError: with every error in it, and where.
        TooLargeError: it has more than `most_bytes`, unpacked.
    """
    document = as_object(vcon, most_bytes)
    small = isinstance(vcon, bytes) and _is_small_json(vcon) and holds_storable(vcon)
    return _entry(*checked(document, chains, most_bytes, all_storable=small), most_bytes, media)


def entry_in_pieces(
    vcon: object, most_bytes: int, chains: Iterable[Chain] = (), media: Rule = NOTHING
) -> Entry:
    """`entry_of` in the helper process: it divides a large vCon, which is parsed anyway."""
    document, warnings = checked(as_object(vcon, most_bytes), chains, most_bytes)
    entry = _entry(document, warnings, most_bytes, media)
    if not is_large(entry.in_redis):
        return replace(entry, large=False)
    rest = document if entry.taken is None else orjson.loads(entry.in_redis)
    return replace(entry, large=True, pieces=divided(rest))


def _entry(document: dict[str, Any], warnings: list[str], most_bytes: int, media: Rule) -> Entry:
    content = _without_receipt(document)
    text = orjson.dumps(document)
    if len(text) > most_bytes:
        msg = f"the vCon is {len(text)} bytes; at most {most_bytes} are taken"
        raise TooLargeError(msg)
    earlier = text if content is document else orjson.dumps(content)
    return Entry(
        vcon_uuid=document["uuid"],
        document=text,
        created_at=created_at_epoch(document) or 0.0,
        digest=hashlib.sha256(sorted_text(content)).hexdigest(),
        index_keys=search_keys(document),
        warnings=warnings,
        earlier_digest=hashlib.sha256(earlier).hexdigest(),
        received="" if content is document else document["created_at"],
        taken=stripped_text(document, text, media),
    )


LARGE = 256_000
"""Bytes above which JSON is not parsed on the event loop, as in `core.phoenix.large_frames`."""


FEW = 5_000
"""Values up to which a large vCon is read in a thread: parsing 8 MB of one recording takes 5 ms."""


async def make_entry(
    offload: Offload,
    vcon: object,
    most_bytes: int,
    chains: Iterable[Chain] = (),
    law: Law | None = None,
) -> Entry:
    """`entry_of`; for a vCon that is large, or packed and may be, in a thread or by `offload`.

    `offload` runs elsewhere, since parsing holds the interpreter's lock. It has to copy the vCon
    there and back, which takes longer than parsing one of few long texts. A signed or encrypted
    vCon is opened in a thread, for chains that open it.
    """
    media = in_force()
    chains = list(chains)
    if any(chain.opens for chain in chains):
        return await one_at_a_time(_opened_entry, vcon, most_bytes, chains, law, media)
    if not isinstance(vcon, str | bytes) or _is_small_json(vcon):
        return entry_of(vcon, most_bytes, chains, media)
    plain = [_without_plugins(chain) for chain in chains]
    elsewhere = one_at_a_time if await in_own_thread(_has_few_values, vcon) else offload
    return await elsewhere(entry_in_pieces, vcon, most_bytes, plain, media)


def _opened_entry(
    vcon: object, most_bytes: int, chains: Sequence[Chain], law: Law | None, media: Rule
) -> Entry:
    trust = Trust() if law is None else law.trust
    found = at_door(vcon, chains, trust, most_bytes, datetime.now(UTC))
    entry = entry_of(found.vcon, most_bytes, chains, media)
    warnings = [*found.warnings, *entry.warnings]
    verified_under = trust if found.is_verified else None
    return replace(entry, original=found.original, warnings=warnings, verified_under=verified_under)


def _is_small_json(text: str | bytes) -> bool:
    return isinstance(text, bytes) and len(text) <= LARGE and not text.startswith(MAGIC)


def _has_few_values(text: str | bytes) -> bool:
    """Whether JSON has at most `FEW` values, also in texts, and no text with a vCon inside."""
    return (
        isinstance(text, bytes)
        and not text.startswith(MAGIC)
        and sum(map(text.count, (b"{", b"[", b","))) <= FEW
        and b"payload" not in text
        and b"\\u" not in text
    )


def _without_plugins(chain: Chain) -> Chain:
    """What validation needs of a chain; options of plugins may hold secrets and stay here."""
    return Chain(chain.name, allow_envelopes=chain.allow_envelopes, extensions=chain.extensions)


def checked(
    vcon: Mapping[str, Any],
    chains: Iterable[Chain],
    most_bytes: int,
    *,
    all_storable: bool = False,
) -> tuple[dict[str, Any], list[str]]:
    """The vCon in canonical form, and the warnings about it; `all_storable` as in `findings`.

    Raises:
        InvalidError: with every error and where; or one of the chains does not accept it, see
            `check_accepted`.
    """
    document = dict(vcon)
    found = findings(document, most_bytes, all_storable=all_storable)
    warnings = [str(finding) for finding in found if not finding.refuses]
    if problems := [str(finding) for finding in found if finding.refuses]:
        besides = f" (warnings: {'; '.join(warnings)})" if warnings else ""
        msg = f"The vCon is not valid: {'; '.join(problems)}{besides}"
        raise InvalidError(msg, problems)
    payload = inside(document, most_bytes) if is_envelope(document) else None
    check_accepted(document, chains, payload)
    whole = with_address(document, payload) if is_envelope(document) else document
    return dated(normalised(whole), datetime.now(UTC)), warnings


def _without_receipt(document: dict[str, Any]) -> dict[str, Any]:
    """The vCon without a time of receipt, which differs when the same request comes again.

    A time that was read from the uuid is left out in the same way, as in digests of releases that
    did not read it.
    """
    if document.get("created_at_source") not in SOURCES:
        return document
    return {name: document[name] for name in document if name != "created_at"} | RECEIVED


@dataclass(frozen=True, slots=True)
class TermLimits:
    """The settings INDEX_TERMS and INDEX_TERM_LENGTH (characters of a value).

    Each term is a set in Redis, and one script call writes or removes all terms of a vCon; the
    limits bound the time for which it holds up other clients.
    """

    count: int = 200
    length: int = 200


TERM_LIMITS = TermLimits()


def indexed(terms: Sequence[str], limits: TermLimits) -> tuple[list[str], list[str]]:
    """The first terms within the limits, and warnings about the others."""
    fitting = [each for each in terms if len(each.partition(":")[2]) <= limits.length]
    warnings = []
    if too_long := len(terms) - len(fitting):
        warnings.append(
            f"parties: {too_long} search terms are longer than {limits.length} characters"
            " and not indexed"
        )
    if len(fitting) > limits.count:
        warnings.append(
            f"parties: {len(fitting)} search terms, of which the first {limits.count} are indexed"
        )
    return fitting[: limits.count], warnings
