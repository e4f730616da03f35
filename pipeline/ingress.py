"""What is taken in through our own door: one vCon, checked, normalised, stored and enqueued."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from core.errors import InvalidError, TooLargeError, UnknownNameError
from core.metrics import VCONS_RECEIVED
from pipeline.config import Chain
from pipeline.configuration import Configuration
from pipeline.document import created_at_epoch, normalised, search_keys
from pipeline.document_findings import findings
from pipeline.envelope import addressed, check_envelope
from pipeline.intake import Entry, Intake
from schemas.ingested import Ingested


class Ingress:
    """The door through which vCons come in over RPC from whoever may call the service."""

    def __init__(self, configuration: Configuration, max_vcon_bytes: int, intake: Intake) -> None:
        """Lists are those of the configuration."""
        self._configuration = configuration
        self._max_vcon_bytes = max_vcon_bytes
        self._intake = intake

    async def take(
        self, vcon: Mapping[str, Any], lists: Sequence[str], chains: Sequence[Chain] = ()
    ) -> Ingested:
        """The vCon's canonical uuid and what came of it; it is stored and in every list named.

        `chains` are those that it will go through besides the readers of its lists.

        Raises:
            UnknownNameError: for a list that no enabled chain reads.
            InvalidError: with everything that is wrong with the vCon, and where.
            TooLargeError: when it is larger than accepted.
            ConflictError: when other content under its uuid is being processed.
            UnavailableError: when a list is full or Redis is away.
        """
        readers = [self._reader(name) for name in lists]
        entry = entry_of(vcon, self._max_vcon_bytes, [*readers, *chains])
        names = _once(lists)
        outcome = await self._intake.ingest(entry, names)
        for name in names:
            VCONS_RECEIVED.count(name, outcome)
        return Ingested(uuid=entry.vcon_uuid, outcome=outcome)

    def _reader(self, name: str) -> Chain:
        config = self._configuration.config
        chain = config.chain_reading(name)
        if chain is None:
            raise UnknownNameError("ingress list", name, config.ingress_lists)
        return chain


def entry_of(vcon: Mapping[str, Any], most_bytes: int, chains: Iterable[Chain] = ()) -> Entry:
    """The vCon as it goes into these chains, in canonical form.

    Raises:
        InvalidError: with everything that is wrong with it, and where.
        TooLargeError: when it has more than `most_bytes`.
    """
    document = checked(vcon, chains)
    text = orjson.dumps(document)
    if len(text) > most_bytes:
        msg = f"the vCon is {len(text)} bytes; at most {most_bytes} are taken"
        raise TooLargeError(msg)
    return Entry(
        vcon_uuid=document["uuid"],
        document=text,
        created_at=created_at_epoch(document) or 0.0,
        digest=hashlib.sha256(text).hexdigest(),
        index_keys=search_keys(document),
    )


def checked(vcon: Mapping[str, Any], chains: Iterable[Chain] = ()) -> dict[str, Any]:
    """The vCon in canonical form.

    Raises:
        InvalidError: with every problem found and where; or it is signed or encrypted, and one of
            the chains does not take such.
    """
    problems = [str(finding) for finding in findings(vcon) if finding.refuses]
    if problems:
        listed = "; ".join(problems)
        msg = f"The vCon is not valid: {listed}"
        raise InvalidError(msg, problems)
    document = dict(vcon)
    check_envelope(document, chains)
    return normalised(addressed(document))


def _once(lists: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(lists))
