"""What is taken in through our own door: one vCon, checked, normalised, stored and enqueued."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from core.errors import InvalidError, TooLargeError, UnknownNameError
from core.metrics import VCONS_RECEIVED
from pipeline.configuration import Configuration
from pipeline.document import created_at_epoch, normalised, search_keys
from pipeline.document_findings import findings
from pipeline.intake import Entry, Intake
from pipeline.key_ring import KeyRing
from schemas.ingested import Ingested


@dataclass(frozen=True, slots=True)
class IngressLimits:
    """What is taken in."""

    max_vcon_bytes: int
    key_required: bool


class Ingress:
    """The door through which vCons come in over RPC."""

    def __init__(
        self, configuration: Configuration, limits: IngressLimits, intake: Intake, keys: KeyRing
    ) -> None:
        """Lists are those of the configuration."""
        self._keys = keys
        self._configuration = configuration
        self._limits = limits
        self._intake = intake

    async def take(
        self, vcon: Mapping[str, Any], lists: Sequence[str], api_key: str | None
    ) -> Ingested:
        """The vCon's canonical uuid and what came of it; it is stored and in every list named.

        Raises:
            ForbiddenError: when a key is given, or required, and does not open every list.
            UnknownNameError: for a list that no enabled chain reads.
            InvalidError: with everything that is wrong with the vCon, and where.
            TooLargeError: when it is larger than accepted.
            ConflictError: when other content under its uuid is being processed.
            UnavailableError: when a list is full or Redis is away.
        """
        self._check_lists(lists)
        if api_key is not None or self._limits.key_required:
            await self._keys.check(api_key, lists)
        entry = entry_of(vcon, self._limits.max_vcon_bytes)
        names = _once(lists)
        outcome = await self._intake.ingest(entry, names)
        for name in names:
            VCONS_RECEIVED.count(name, outcome)
        return Ingested(uuid=entry.vcon_uuid, outcome=outcome)

    def _check_lists(self, lists: Sequence[str]) -> None:
        for name in lists:
            if self._configuration.config.chain_reading(name) is None:
                raise UnknownNameError(
                    "ingress list", name, self._configuration.config.ingress_lists
                )


def entry_of(vcon: Mapping[str, Any], most_bytes: int) -> Entry:
    """The vCon as it goes in, in canonical form.

    Raises:
        InvalidError: with everything that is wrong with it, and where.
        TooLargeError: when it has more than `most_bytes`.
    """
    document = checked(vcon)
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


def checked(vcon: Mapping[str, Any]) -> dict[str, Any]:
    """The vCon in canonical form.

    Raises:
        InvalidError: with every problem found and where.
    """
    problems = [str(finding) for finding in findings(vcon) if finding.refuses]
    if problems:
        listed = "; ".join(problems)
        msg = f"The vCon is not valid: {listed}"
        raise InvalidError(msg, problems)
    return normalised(dict(vcon))


def _once(lists: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(lists))
