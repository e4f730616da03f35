"""One vCon as it goes in: checked, in canonical form, with its digest and its search terms.

The helper process imports this for large vCons, so nothing here needs Redis or Postgres.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from core.errors import InvalidError, TooLargeError
from core.helper_process import Offload
from pipeline.config.model import Chain
from pipeline.vcon.envelope import as_object, check_accepted, inside, is_envelope, with_address
from pipeline.vcon.normalization import created_at_epoch, normalised, search_keys, sorted_text
from pipeline.vcon.validation import findings
from schemas.vcon import RECEIVED


@dataclass(frozen=True, slots=True)
class Entry:
    """One canonical vCon as it goes in. `created_at` is in epoch seconds.

    `warnings` are for the caller and do not go in.
    """

    vcon_uuid: str
    document: bytes
    created_at: float
    digest: str
    index_keys: Sequence[str]
    warnings: list[str] = field(default_factory=list)
    earlier_digest: str = ""

    @property
    def digests(self) -> tuple[str, ...]:
        """What tells the same content: today's form, and that of the version before.

        Today's does not depend on the order of members; what the version before has written in
        Redis is compared with its own form.
        """
        return tuple(filter(None, (self.digest, self.earlier_digest)))


def entry_of(vcon: object, most_bytes: int, chains: Iterable[Chain] = ()) -> Entry:
    """The vCon as it goes into these chains, in canonical form.

    Raises:
        InvalidError: with everything that is wrong with it, and where.
        TooLargeError: when it has more than `most_bytes`, unpacked.
    """
    document, warnings = checked(as_object(vcon, most_bytes), chains, most_bytes)
    told = _told(document)
    text = orjson.dumps(document)
    if len(text) > most_bytes:
        msg = f"the vCon is {len(text)} bytes; at most {most_bytes} are taken"
        raise TooLargeError(msg)
    return Entry(
        vcon_uuid=document["uuid"],
        document=text,
        created_at=created_at_epoch(document) or 0.0,
        digest=hashlib.sha256(sorted_text(told)).hexdigest(),
        index_keys=search_keys(document),
        warnings=warnings,
        earlier_digest=hashlib.sha256(text if told is document else orjson.dumps(told)).hexdigest(),
    )


async def entry_apart(
    offload: Offload, vcon: object, most_bytes: int, chains: Iterable[Chain] = ()
) -> Entry:
    """The same, made elsewhere where the vCon is given as text or packed: it may be large."""
    if not isinstance(vcon, str | bytes):
        return entry_of(vcon, most_bytes, chains)
    return await offload(entry_of, vcon, most_bytes, [_demands(chain) for chain in chains])


def _demands(chain: Chain) -> Chain:
    """What a chain asks of its vCons, without its plugins: their options may hold secrets."""
    return Chain(chain.name, allow_envelopes=chain.allow_envelopes, extensions=chain.extensions)


def checked(
    vcon: Mapping[str, Any], chains: Iterable[Chain], most_bytes: int
) -> tuple[dict[str, Any], list[str]]:
    """The vCon in canonical form, and what is odd about it.

    Raises:
        InvalidError: with every problem found and where; or one of the chains does not take it,
            see `check_accepted`.
    """
    document = dict(vcon)
    found = findings(document, most_bytes)
    warnings = [str(finding) for finding in found if not finding.refuses]
    if problems := [str(finding) for finding in found if finding.refuses]:
        odd = f" (and odd: {'; '.join(warnings)})" if warnings else ""
        msg = f"The vCon is not valid: {'; '.join(problems)}{odd}"
        raise InvalidError(msg, problems)
    payload = inside(document, most_bytes) if is_envelope(document) else None
    check_accepted(document, chains, payload)
    whole = with_address(document, payload) if is_envelope(document) else document
    return _dated(normalised(whole)), warnings


def _dated(document: dict[str, Any]) -> dict[str, Any]:
    """The vCon with the time of its receipt, marked as such, where it tells no time itself."""
    if document.get("created_at") is not None:
        return document
    return {**document, "created_at": datetime.now(UTC).isoformat(), **RECEIVED}


def _told(document: dict[str, Any]) -> dict[str, Any]:
    """What a repeat of the same request has in common with it: not the time of receipt."""
    if not RECEIVED.items() <= document.items():
        return document
    return {name: document[name] for name in document if name != "created_at"}
