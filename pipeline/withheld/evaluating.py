"""The law of a vCon that is in Redis, evaluated for one purpose.

Of the vCon only its attachments, its parties and the number of its dialogs are read; recordings are
not. Nothing is remembered between two evaluations: a basis that has expired or was revoked counts
at the next one.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

import orjson

from core.concurrency import sliced_json
from core.concurrency.thread_pool import one_at_a_time
from core.errors import InvalidError, TooLargeError, UnavailableError
from pipeline.config.law import BasisPolicy, Law
from pipeline.law.basis.decision import DENYING, Decision
from pipeline.law.basis.evaluation import evaluate
from pipeline.law.basis.records import RecordedBasis
from pipeline.live_config import Configuration
from pipeline.media import media
from pipeline.redis_client import originals
from pipeline.redis_client.client import RedisConnection
from schemas.uuids import canonical_uuid

type Document = dict[str, Any]

LARGE = 500_000
"""Bytes of attachments from which on they are parsed and evaluated in a thread."""
_CLOSED: Mapping[str, Any] = {"ciphertext": ""}
"""Stands for a vCon that is still signed or encrypted: nothing in it counts."""
_PARTS = ("attachments", "parties", "payload", "signatures", "signature", "ciphertext")
"""The members of a vCon that decide, beside the number of its dialogs."""


def now() -> datetime:
    """The time at which a basis is evaluated."""
    return datetime.now(UTC)


class RecordsAwayError(UnavailableError):
    """What was recorded beside the vCons cannot be read now."""


class Records(Protocol):
    """Bases that were recorded beside the vCons."""

    async def of(self, vcon_uuid: str, parties: Sequence[Any]) -> Sequence[RecordedBasis]:
        """Those of a vCon and of its parties, as they are now.

        Raises:
            UnavailableError: Postgres cannot be reached.
        """
        ...


class Evaluation:
    """Evaluates vCons under the configuration in force."""

    def __init__(
        self, connection: RedisConnection, configuration: Configuration, records: Records
    ) -> None:
        """`records` are read at each evaluation."""
        self._connection = connection
        self._configuration = configuration
        self._records = records
        self._media = media.installed(connection)

    async def decision(self, vcon_uuid: str, purpose: str, unwritten: bytes = b"") -> Decision:
        """Whether a vCon may be used for a purpose now.

        `unwritten`: the document, if Redis does not have it yet.

        Raises:
            LookupError: Redis has no such vCon.
            RecordsAwayError: Postgres cannot be reached.
            UnavailableError: Redis or the media store cannot be reached.
            CommandRefused: the key of the vCon has another type.
        """
        if unwritten:
            document, size = _parts_of(await _parsed(unwritten)), len(unwritten)
        else:
            document, size = await self._read(vcon_uuid)
        await self._media.put_back(vcon_uuid, document, {})
        records = await self._recorded(vcon_uuid, document.get("parties"))
        law = self._configuration.config.law
        policy = (law and law.basis) or BasisPolicy()
        how = purpose, now(), policy, records
        if size > LARGE:
            found = await one_at_a_time(evaluate, document, *how)
        else:
            found = evaluate(document, *how)
        if law is None or not policy.signed_only or found.allowed or found.error in DENYING:
            return found
        signed = await _signed_payload(self._connection, vcon_uuid, law, how[1])
        if signed is None:
            return found
        return await one_at_a_time(partial(evaluate, signed, *how, signed=True))

    async def _read(self, vcon_uuid: str) -> tuple[Document, int]:
        """What the law of a vCon is read from, and how many bytes of JSON that is."""
        reply = await self._connection.script("law_parts", vcon_uuid)
        if not reply:
            raise LookupError(f"there is no vCon {vcon_uuid} in Redis")
        if reply[0] == "closed":
            return dict(_CLOSED), 0
        _, attachments, parties, dialogs = reply
        document: Document = {"dialog": [{}] * int(dialogs)}
        for name, text in (("attachments", attachments), ("parties", parties)):
            if found := await _parsed(text):
                document[name] = found[0]
        return document, len(attachments) + len(parties)

    async def _recorded(self, vcon_uuid: str, parties: object) -> Sequence[RecordedBasis]:
        listed = parties if isinstance(parties, list) else ()
        try:
            return await self._records.of(vcon_uuid, listed)
        except UnavailableError as error:
            raise RecordsAwayError(str(error)) from error


def _parts_of(document: object) -> Document:
    whole = document if isinstance(document, dict) else {}
    dialogs = whole.get("dialog")
    count = len(dialogs) if isinstance(dialogs, list) else 0
    return {name: whole[name] for name in _PARTS if name in whole} | {"dialog": [{}] * count}


async def _parsed(text: bytes | str) -> Any:
    if len(text) <= LARGE:
        return orjson.loads(text)
    return await one_at_a_time(sliced_json.loads, text)


async def _signed_payload(
    connection: RedisConnection, vcon_uuid: str, law: Law, now: datetime
) -> Mapping[str, Any] | None:
    """The vCon inside the signed original that is kept; None if there is none that is verified now.

    What links have added to the document is not in it.
    """
    original = await originals.read(connection, vcon_uuid)
    if original is None:
        return None
    return await one_at_a_time(_payload, original, vcon_uuid, law, now)


def _payload(original: bytes, vcon_uuid: str, law: Law, now: datetime) -> Mapping[str, Any] | None:
    from pipeline.law.reading.opening import opened  # noqa: PLC0415 -- loads cryptography

    try:
        found = opened(original, law.trust, list(law.keys.values()), now)
    except (InvalidError, TooLargeError):
        return None
    is_it = found.verified and canonical_uuid(found.document.get("uuid")) == vcon_uuid
    return found.document if is_it else None
