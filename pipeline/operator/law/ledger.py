"""The ledger: where a vCon went, how far the ledger is, and whether it is intact."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from core.errors import UnknownNameError
from core.operator_interfaces import Call, Operation
from pipeline.ledger.keeping import LedgerKeeper
from pipeline.operator.parts import Parts
from pipeline.operator.row import Row
from schemas.operator.law.ledger import (
    CustodyQuery,
    CustodyResult,
    LedgerCheck,
    LedgerCheckQuery,
    LedgerStatus,
    LedgerStatusQuery,
)

CUSTODY = Operation("custody", "Where a vCon went", CustodyQuery, CustodyResult)
STATUS = Operation("ledger", "How far the ledger is", LedgerStatusQuery, LedgerStatus)
VERIFY = Operation("ledger_verify", "Whether the ledger was changed", LedgerCheckQuery, LedgerCheck)


class LedgerView:
    """Reads and checks the ledger."""

    def __init__(self, ledger: LedgerKeeper) -> None:
        self._ledger = ledger

    async def custody(self, query: CustodyQuery, _call: Call) -> CustodyResult:
        """A page of what the ledger knows of a vCon.

        Raises:
            UnknownNameError: it knows nothing of it.
            UnavailableError: Postgres cannot be reached.
        """
        page = query.after_delivery, query.after_event, query.limit
        found = await self._ledger.custody(query.vcon_uuid, *page)
        if found.is_empty and not query.after_delivery and not query.after_event:
            raise UnknownNameError("vCon in the ledger", query.vcon_uuid)
        return CustodyResult(
            vcon_uuid=query.vcon_uuid,
            versions=[_plain(row) for row in found.versions],
            amended_to=found.amended_to,
            deliveries=[_plain(row) for row in found.deliveries],
            events=[_plain(row) for row in found.events],
            erased_at=found.erased_at,
            forgotten_at=found.forgotten_at,
            next_delivery=_next(found.deliveries, "id", query.limit),
            next_event=_next(found.events, "seq", query.limit),
        )

    async def status(self, query: LedgerStatusQuery, _call: Call) -> LedgerStatus:
        """Its head, and the last checkpoints.

        Raises:
            UnavailableError: Postgres cannot be reached.
        """
        head, points = await self._ledger.status(query.checkpoints)
        return LedgerStatus(**head, checkpoints=points)

    async def verify(self, query: LedgerCheckQuery, _call: Call) -> LedgerCheck:
        """Check all of it: some 100,000 events take seconds.

        Raises:
            UnavailableError: Postgres cannot be reached.
        """
        kept = None if query.seq is None or query.hash is None else (query.seq, query.hash)
        report = await self._ledger.verify(kept)
        return LedgerCheck(intact=not report.findings, **asdict(report))


def _plain(row: Mapping[str, Any]) -> Any:
    """The row with its uuids as texts."""
    uuids = {name: str(row[name]) for name in ("run_id", "prior") if row.get(name) is not None}
    return {**row, **uuids}


def _next(rows: Sequence[Mapping[str, Any]], column: str, limit: int) -> int | None:
    return int(rows[-1][column]) if len(rows) == limit else None


def rows(parts: Parts) -> Sequence[Row]:
    """The operations of this file."""
    view = LedgerView(parts.ledger)
    return [Row(CUSTODY, view.custody), Row(STATUS, view.status), Row(VERIFY, view.verify)]
