"""Which failures there are, by cause, over all dead-letter lists."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

from core.errors import UnavailableError
from core.observability.failure_cause import UNKNOWN
from core.observability.logs import without_secrets
from core.operator_interfaces import Call, Operation
from pipeline.admin.causes import ListCauses
from pipeline.operator.parts import Parts
from pipeline.operator.row import Row
from pipeline.replays.table import CauseTable, matching, rows_of
from schemas.dead_letter import DeadLetter
from schemas.operator.failures import (
    MOST_LISTS,
    FailedVcon,
    Failure,
    FailureCause,
    FailureQuery,
    Failures,
    FailuresQuery,
    RecordedCause,
)

RECALL_SECONDS = 0.5
"""Longest wait for Postgres: the table is complete without it."""
FAILURES = Operation("failures", "Dead letters by cause", FailuresQuery, Failures)
FAILURE = Operation(
    "failure", "The newest dead letters of one cause", FailureQuery, Failure, people=True
)


class FailureTable:
    """Reads the causes."""

    def __init__(self, parts: Parts) -> None:
        self._archive = parts.archive
        self._letters = parts.operations.letter_lists
        self._table = CauseTable(parts.configuration, parts.operations)

    async def failures(self, query: FailuresQuery, _call: Call) -> Failures:
        """Every cause with its count, the most frequent first; nothing of a vCon but its uuid.

        Raises:
            UnknownNameError: there is no such list, storage or cause.
        """
        lists = await self._table.read(query.list_name, query.storage)
        rows = rows_of(lists)
        if query.cause is not None:
            rows = matching(rows, query.cause)
        shown = rows[: query.limit]
        await self._recall(shown)
        return Failures(
            causes=shown,
            total=sum(found.total for found in lists),
            more=max(len(rows) - query.limit, 0),
            problems=[f"{each.name}: {each.problem}" for each in lists if each.problem][
                :MOST_LISTS
            ],
        )

    async def _recall(self, rows: Sequence[FailureCause]) -> None:
        """Add what Postgres has of the causes, if it answers soon."""
        known: Mapping[str, RecordedCause] = {}
        with contextlib.suppress(UnavailableError, TimeoutError):
            async with asyncio.timeout(RECALL_SECONDS):
                known = await self._archive.recorded_causes([row.fingerprint for row in rows])
        for row in rows:
            if recorded := known.get(row.fingerprint):
                row.recorded = recorded.count
                row.first_seen = min(row.first_seen or recorded.first_seen, recorded.first_seen)

    async def failure(self, query: FailureQuery, _call: Call) -> Failure:
        """The cause with its newest dead letters, and their errors as they are.

        Raises:
            UnknownNameError: there is no such cause.
        """
        lists = await self._table.read(None, None)
        [row, *_] = matching(rows_of(lists), query.cause)
        examples: list[FailedVcon] = []
        for found in lists:
            if len(examples) < query.limit and found.name in row.lists:
                room = query.limit - len(examples)
                examples += await self._examples(found, row, room)
        return Failure(cause=row, examples=examples)

    async def _examples(self, found: ListCauses, row: FailureCause, limit: int) -> list[FailedVcon]:
        uuids = await self._table.index.newest(found.name, row.fingerprint, limit)
        if not uuids and row.fingerprint == UNKNOWN:
            uuids = await self._first_unknown(found.name, limit)
        letters = await self._letters.entries(found.name, uuids)
        return [_failed(found.name, letter, row.fingerprint) for letter in letters]

    async def _first_unknown(self, name: str, limit: int) -> list[str]:
        async for uuids in self._letters.unexplained(name):
            if uuids:
                return uuids[:limit]
        return []


def _failed(name: str, letter: DeadLetter, fingerprint: str) -> FailedVcon:
    same = [each for each in (letter, *letter.beside) if each.fingerprint == fingerprint]
    told = (same or [letter])[0]
    fields = told.model_dump(include={"chain", "run_id", "worker", "attempts", "at"})
    error = None if told.error is None else without_secrets(told.error)
    return FailedVcon(vcon_uuid=letter.vcon_uuid, letters=name, error=error, **fields)


def rows(parts: Parts) -> list[Row]:
    """The operations of this subject."""
    table = FailureTable(parts)
    return [Row(FAILURES, table.failures), Row(FAILURE, table.failure)]
