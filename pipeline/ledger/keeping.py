"""The ledger of a service process: its checkpoints, its check, and what it knows of a vCon.

A checkpoint says how many events there are and what the hash of the last is. It is written every
`law.ledger.checkpoint_every` events, and a day after the one before at the latest. The line in the
log, and the statement if a key of the law signs it, are copies outside of Postgres.
"""

import logging
from datetime import UTC, datetime
from typing import Any

from core.concurrency.thread_pool import BoundedCalls, in_own_thread
from core.db.law.checking import Checkpoint, LedgerRows
from core.db.law.reading import CustodyFound, LedgerReading
from core.errors import InvalidError, TooLargeError
from pipeline.config.law import CHECKPOINT_EVERY, Law
from pipeline.law.writing import statements
from pipeline.law.writing.signing_key import public_pem
from pipeline.ledger.verification import LedgerReport, verify
from pipeline.live_config import Configuration

log = logging.getLogger(__name__)


class LedgerKeeper:
    """Keeps and reads the ledger without blocking the event loop."""

    def __init__(
        self, reading: LedgerReading, configuration: Configuration, calls: BoundedCalls
    ) -> None:
        """`calls` carries the reads of requests; what takes longer has a thread of its own."""
        self._reading = reading
        self._configuration = configuration
        self._calls = calls

    async def round(self) -> None:
        """End deliveries whose runs were lost, and write a checkpoint if one is due.

        Raises:
            UnavailableError: Postgres cannot be reached.
        """
        await in_own_thread(self._round)

    def _round(self) -> None:
        self._reading.end_overdue()
        law = self._configuration.config.law
        head = self._reading.due(law.checkpoint_every if law else CHECKPOINT_EVERY)
        if head is None:
            return
        seq, hash_ = head
        now = datetime.now(UTC)
        key, statement = _signed(law, {"seq": seq, "hash": hash_, "at": now.isoformat()})
        row = {"seq": seq, "hash": hash_, "at": now, "key": key, "statement": statement}
        if self._reading.add_checkpoint(row):
            log.info("ledger checkpoint", extra={"count": seq, "ref": hash_})

    async def verify(self, kept: tuple[int, str] | None = None) -> LedgerReport:
        """Check all of it; see `verification.py`.

        Raises:
            UnavailableError: Postgres cannot be reached.
        """
        law, rows = self._configuration.config.law, LedgerRows(self._reading.database)
        return await in_own_thread(verify, rows, kept, _StatementCheck(law))

    async def custody(
        self, vcon_uuid: str, after_delivery: int, after_event: int, limit: int
    ) -> CustodyFound:
        """What the ledger knows of a vCon; see `LedgerReading.custody`."""
        return await self._calls(
            self._reading.custody, vcon_uuid, after_delivery, after_event, limit
        )

    async def status(self, checkpoints: int) -> tuple[Any, list[Any]]:
        """See `LedgerReading.status`."""
        return await self._calls(self._reading.status, checkpoints)


class _StatementCheck:
    """Checks the signatures of checkpoints with what the configuration trusts."""

    def __init__(self, law: Law | None) -> None:
        keys = [] if law is None else law.keys.values()
        anchors = [public_pem(key) for key in keys]
        self._anchors = [*anchors, *(() if law is None else law.trust.anchors)]

    def __call__(self, point: Checkpoint) -> str | None:
        if point.statement is None:
            return None
        if point.at is None:
            return "has a time that it cannot have"
        try:
            told = statements.verified(
                point.statement, statements.CHECKPOINT, self._anchors, point.at
            )
        except (InvalidError, TooLargeError) as error:
            return f"has a statement that cannot be verified: {error}"
        if (told.content.get("seq"), told.content.get("hash")) != (point.seq, point.hash):
            return "has a statement about something else"
        return None


def _signed(law: Law | None, content: dict[str, Any]) -> tuple[str | None, str | None]:
    """The name of the first key of the law, and the statement that it signs; None without keys."""
    if law is None or not law.keys:
        return None, None
    key = next(iter(law.keys.values()))
    return key.name, statements.signed(content, statements.CHECKPOINT, key)
