"""Signed and encrypted vCons that other programs and chains put into lists, opened when claimed.

What a chain opens when it comes in, it also opens here, before any step: the document in Redis
becomes the plain vCon, written with the run's claim, and the signed original is kept beside it
first. So a process that dies in between does both again.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson

from core.concurrency.thread_pool import one_at_a_time
from core.errors import ConflictError, InvalidError, TooLargeError
from pipeline.config.law import Law, Trust
from pipeline.config.model import Chain
from pipeline.redis_client import originals
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.lease import Lost
from pipeline.runs.run_state import RunState, current_run
from pipeline.runs.vcon_store import VconStore
from pipeline.vcon.envelope import MOST_BYTES, critical_names
from pipeline.vcon.normalization import dated, normalised
from pipeline.vcon.opened import AtDoor, at_door, is_unchanged
from pipeline.vcon.validation import findings

NO_ORIGINAL = (
    "The vCon is not verified, as chain {} demands (verify: required): it has no signed original;"
    " it came in unsigned, or for a chain that does not verify"
)

LAID_OVER = (
    "The vCon is not verified, as chain {} demands (verify: required): another program has changed"
    " its document since its signature was verified; delete it, and let its sender send it again"
)


class Opening:
    """Opens claimed vCons for chains that say so."""

    def __init__(
        self,
        connection: RedisConnection,
        law: Callable[[], Law | None],
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """`law` returns that of the configuration in force."""
        self._connection = connection
        self._law = law
        self._most_bytes = most_bytes

    async def refusal(self, live: RunState) -> str | None:
        """Open the vCon of a run that begins; the error if its chain does not accept it.

        Waits while Redis is unavailable.

        Raises:
            Lost: this worker no longer holds the run.
        """
        if not live.is_at_its_start:
            return None
        try:
            return await self._connection.insist(lambda: self._refusal(live))
        except (InvalidError, TooLargeError) as error:
            return str(error)
        except ConflictError as error:
            raise Lost from error

    async def _refusal(self, live: RunState) -> str | None:
        uuid, chain = live.claim.vcon_uuid, live.chain
        if live.claim.envelope:
            document = await VconStore(self._connection).get(uuid)
            if document is not None:
                await self._open(live, document)
        elif chain.verify == "required":
            original = await originals.read(self._connection, uuid)
            if original is None:
                return NO_ORIGINAL.format(chain.name)
            await one_at_a_time(self._at_door, original, chain)
            if not await self._is_of(original, uuid):
                return LAID_OVER.format(chain.name)
        return None

    async def _is_of(self, original: bytes, uuid: str) -> bool:
        """Whether the document is what the original says, or what runs have made of that."""
        if await originals.is_sealed(self._connection, uuid):
            return True
        document = await VconStore(self._connection).get(uuid)
        if document is None:
            return True  # the run finds out
        if not await one_at_a_time(is_unchanged, document, original):
            return False
        await originals.seal(self._connection, uuid)
        return True

    def _at_door(self, vcon: object, chain: Chain) -> AtDoor:
        return at_door(vcon, [chain], self._trust, self._most_bytes, datetime.now(UTC))

    @property
    def _trust(self) -> Trust:
        law = self._law()
        return Trust() if law is None else law.trust

    async def _open(self, live: RunState, envelope: dict[str, Any]) -> None:
        """Write the plain vCon, if the chain opens this form."""
        found, document = await one_at_a_time(self._plain, envelope, live.chain)
        if not found.is_opened:
            return
        uuid = live.claim.vcon_uuid
        if document["uuid"] != uuid:
            raise InvalidError(f"uuid: {document['uuid']} is inside of the vCon {uuid}")
        if found.original:
            await self._keep(uuid, found, document)
        token = current_run.set(live)
        try:
            await VconStore(self._connection).put(document)
        finally:
            current_run.reset(token)
        if found.original:
            await originals.seal(self._connection, uuid)
        names = critical_names(document)
        critical = orjson.dumps(names).decode() if names else ""
        live.claim = replace(live.claim, envelope=0, critical=critical)

    async def _keep(self, uuid: str, found: AtDoor, document: dict[str, Any]) -> None:
        """Keep the original, if it is verified, or there is no verified one of this content."""
        kept = None if found.is_verified else await originals.kept(self._connection, uuid)
        over = originals.ANY if found.is_verified else originals.NONE
        if kept is not None:
            over = kept.name
            if await one_at_a_time(self._outweighs, kept.text, document):
                return
        await originals.keep(self._connection, uuid, found.original, over)

    def _outweighs(self, kept: bytes, document: dict[str, Any]) -> bool:
        from pipeline.law.reading.opening import is_verified  # noqa: PLC0415 -- loads cryptography

        return is_verified(kept, self._trust, datetime.now(UTC)) and is_unchanged(document, kept)

    def _plain(self, envelope: dict[str, Any], chain: Chain) -> tuple[AtDoor, dict[str, Any]]:
        found = self._at_door(_without_address(envelope), chain)
        if not found.is_opened:
            return found, envelope
        problems = [str(each) for each in findings(found.vcon, self._most_bytes) if each.refuses]
        if problems:
            raise InvalidError(f"The vCon inside is not valid: {'; '.join(problems)}")
        return found, dated(normalised(found.vcon), datetime.now(UTC))


_OF_ENVELOPES = frozenset(
    {
        *("payload", "signatures", "signature", "protected", "header"),
        *("ciphertext", "recipients", "unprotected", "iv", "tag", "aad", "encrypted_key", "uuid"),
    }
)


def _without_address(envelope: dict[str, Any]) -> dict[str, Any]:
    """The envelope without the members by which the service finds one that it does not open."""
    return {name: value for name, value in envelope.items() if name in _OF_ENVELOPES}
