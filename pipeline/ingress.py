"""What is taken in through our own door: one vCon, checked, normalised, stored and enqueued."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson

from core.errors import InvalidError, TooLargeError, UnknownNameError
from core.metrics import VCONS_RECEIVED
from pipeline.config import Chain
from pipeline.configuration import Configuration
from pipeline.document import created_at_epoch, normalised, search_keys
from pipeline.document_findings import findings
from pipeline.envelope import inside, is_envelope, with_address
from pipeline.extensions import check_accepted
from pipeline.intake import Entry, Intake
from pipeline.large_documents import beside_the_loop
from pipeline.unpacking import as_object
from schemas.ingested import Ingested
from schemas.vcon import RECEIVED


class Ingress:
    """The door through which vCons come in over RPC from whoever may call the service."""

    def __init__(self, configuration: Configuration, max_vcon_bytes: int, intake: Intake) -> None:
        """Lists are those of the configuration."""
        self._configuration = configuration
        self._max_vcon_bytes = max_vcon_bytes
        self._intake = intake

    async def take(self, vcon: Mapping[str, Any] | bytes, lists: Sequence[str]) -> Ingested:
        """The vCon's canonical uuid and what came of it; it is stored and in every list named.

        Raises:
            UnknownNameError: for a list that no enabled chain reads.
            InvalidError: with everything that is wrong with the vCon, and where.
            TooLargeError: when it is larger than accepted.
            ConflictError: when other content under its uuid is being processed.
            UnavailableError: when a list is full or Redis is away.
        """
        entry = await self.entry(vcon, [self._reader(name) for name in lists])
        names = _once(lists)
        outcome = await self._intake.ingest(entry, names)
        for name in names:
            VCONS_RECEIVED.count(name, outcome)
        return Ingested(uuid=entry.vcon_uuid, outcome=outcome, warnings=entry.warnings)

    async def entry(self, vcon: Mapping[str, Any] | bytes, chains: Iterable[Chain]) -> Entry:
        """The vCon as it goes into these chains; see `entry_of`."""
        return await beside_the_loop(vcon, partial(entry_of, vcon, self._max_vcon_bytes, chains))

    async def put(self, entry: Entry, key: str | None = None) -> None:
        """Store a vCon that goes into no list, for the request with this idempotency key.

        Raises:
            ConflictError: other content under its uuid is being processed, or the key was used with
                other content.
            UnavailableError: when Redis is away.
        """
        await self._intake.ingest(entry, (), key=key)

    def _reader(self, name: str) -> Chain:
        config = self._configuration.config
        chain = config.chain_reading(name)
        if chain is None:
            raise UnknownNameError("ingress list", name, config.ingress_lists)
        return chain


def entry_of(vcon: object, most_bytes: int, chains: Iterable[Chain] = ()) -> Entry:
    """The vCon as it goes into these chains, in canonical form.

    Raises:
        InvalidError: with everything that is wrong with it, and where.
        TooLargeError: when it has more than `most_bytes`, unpacked.
    """
    document, warnings = checked(as_object(vcon, most_bytes), chains, most_bytes)
    text = orjson.dumps(document)
    if len(text) > most_bytes:
        msg = f"the vCon is {len(text)} bytes; at most {most_bytes} are taken"
        raise TooLargeError(msg)
    return Entry(
        vcon_uuid=document["uuid"],
        document=text,
        created_at=created_at_epoch(document) or 0.0,
        digest=hashlib.sha256(_told(document, text)).hexdigest(),
        index_keys=search_keys(document),
        warnings=warnings,
    )


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


def _told(document: Mapping[str, Any], text: bytes) -> bytes:
    """What a repeat of the same request has in common with it: not the time of receipt."""
    if not RECEIVED.items() <= document.items():
        return text
    return orjson.dumps({name: document[name] for name in document if name != "created_at"})


def _once(lists: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(lists))
