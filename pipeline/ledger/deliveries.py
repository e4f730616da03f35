"""Deliveries of runs: each is committed in Postgres before the call that gives the vCon away.

Runs that are about to call something share a transaction, so a worker waits for one commit at a
time, however many runs it has. If Postgres does not answer, the run is set aside, and its attempt
does not count. A vCon with a tombstone is not given away.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import orjson

from core.concurrency.group_commit import GroupCommit
from core.concurrency.thread_pool import BoundedCalls, one_at_a_time
from core.db.law.deliveries import Deliveries, NewDelivery, NewVersion
from core.errors import GoneError, UnavailableError
from pipeline.custody.ledger_notes import LedgerNotes
from pipeline.ledger.basis import NO_BASIS, Basis
from pipeline.ledger.received import LawInForce, no_law, signers_of
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.parking import Parked
from pipeline.runs.run_state import RunState

AT_ONCE, MOST_WAITING = 200, 2000
AWAY = "waits for the ledger in Postgres, which does not answer"
PAUSE = 5.0
"""Seconds until a step is tried again while Postgres is away."""
LARGE = 100_000
"""Bytes from which on a document is hashed in a thread."""


class DeliveryLedger:
    """Records the deliveries of one worker's runs."""

    def __init__(
        self,
        connection: RedisConnection,
        deliveries: Deliveries,
        calls: BoundedCalls,
        law: LawInForce = no_law,
    ) -> None:
        """`calls` carries the calls of `deliveries`; `law` tells whom the chains trust."""
        self._law = law
        self._connection = connection
        self._deliveries = deliveries
        self._calls = calls
        self._commits = GroupCommit[NewDelivery, int | None](
            self._write, seconds=calls.seconds, at_once=AT_ONCE, most_waiting=MOST_WAITING
        )

    async def begin(self, live: RunState, kind: str, name: str, basis: Basis = NO_BASIS) -> None:
        """Commit that a step gets the run's vCon now; of an egress list, that it gets it next.

        Raises:
            Parked: Postgres does not answer; the step must not begin.
            GoneError: the vCon is erased.
            LookupError: Redis has no such vCon.
            UnavailableError: Redis cannot be reached.
        """
        notes = live.ledger = live.ledger or LedgerNotes()
        version = await self._version(live)
        item = _delivery(live, kind, name, basis, version)
        if version.digest != notes.digest:
            item = replace(item, version=version)
        try:
            delivery = await self._commits(item)
        except UnavailableError:
            raise Parked(AWAY, PAUSE) from None
        if delivery is None:
            raise GoneError(live.progress.vcon)
        notes.digest = version.digest
        notes.began(kind, name, delivery)

    async def note_last(self, live: RunState) -> None:
        """Note the document with which a run ends, if the ledger does not have it.

        Raises:
            LookupError: Redis has no such vCon.
            UnavailableError: Redis cannot be reached.
        """
        notes = live.ledger = live.ledger or LedgerNotes()
        version = await self._version(live)
        if version.digest != notes.digest:
            notes.digest = version.digest
            notes.versions.append(asdict(version))

    async def _write(self, items: Sequence[NewDelivery]) -> Sequence[int | None]:
        return await self._calls(self._deliveries.begin, items)

    async def _version(self, live: RunState) -> NewVersion:
        vcon_uuid = live.progress.vcon
        text = live.memory.known(vcon_uuid)
        if text is None:
            text = await self._connection.command("JSON.GET", keys.vcon(vcon_uuid))
        if text is None:
            msg = f"there is no vCon {vcon_uuid} in Redis"
            raise LookupError(msg)
        large = len(text) > LARGE
        digest, form, is_redacted = await one_at_a_time(seen, text) if large else seen(text)
        assert live.ledger is not None
        origin = "received"
        if live.ledger.digest:
            origin = "redacted" if is_redacted else "enhanced"
        signers: Sequence[str] | None = None
        if origin == "received" and form == "unsigned" and live.chain.opens:
            signers = await signers_of(self._connection, vcon_uuid, self._law())
        return NewVersion(
            vcon_uuid=vcon_uuid,
            origin=origin,
            form=form if signers is None else "signed",
            signers=signers or (),
            bytes=len(text),
            digest=digest,
            chain=live.chain.name,
            run_id=live.claim.run_id,
        )


def _delivery(
    live: RunState, kind: str, name: str, basis: Basis, version: NewVersion
) -> NewDelivery:
    return NewDelivery(
        vcon_uuid=version.vcon_uuid,
        kind=kind,
        name=name,
        digest=version.digest,
        attempt=live.attempts,
        chain=version.chain,
        run_id=version.run_id,
        worker=live.worker,
        purpose=basis.purpose,
        profile=basis.profile,
        basis=basis.place,
    )


def seen(text: bytes | str) -> tuple[str, str, bool]:
    """The digest of a document, its form, and whether it says that it is redacted.

    The digest is that of the members in order of their names: Redis may write them in another.
    """
    try:
        document: Mapping[str, Any] = orjson.loads(text)
        plain = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONDecodeError:  # a text with half of a surrogate pair
        document, plain = {}, text.encode(errors="surrogatepass") if isinstance(text, str) else text
    return hashlib.sha256(plain).hexdigest(), _form(document), bool(document.get("redacted"))


def _form(document: Mapping[str, Any]) -> str:
    if "ciphertext" in document and "recipients" in document:
        return "encrypted"
    return "signed" if "payload" in document and "signatures" in document else "unsigned"
