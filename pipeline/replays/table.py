"""The causes of all dead-letter lists, as one table."""

import asyncio
from collections.abc import Sequence
from itertools import batched

from core.errors import UnknownNameError, UnusableKeyError
from core.observability.failure_cause import UNKNOWN
from core.observability.logs import without_secrets
from pipeline.admin.causes import ListCause, ListCauses
from pipeline.admin.operations import PipelineOperations
from pipeline.config.lists import lists_of
from pipeline.live_config import Configuration
from pipeline.redis_client import keys
from schemas.operator.failures import MOST_LISTS, FailureCause

READ_AT_ONCE = 20
"""Lists whose causes are read beside each other."""
SHORTEST_PREFIX = 4
"""Digits with which a fingerprint may be shortened."""


class CauseTable:
    """Reads the index of every list."""

    def __init__(self, configuration: Configuration, operations: PipelineOperations) -> None:
        self._configuration = configuration
        self._operations = operations
        self.index = operations.letter_lists.index

    async def read(self, list_name: str | None, storage: str | None) -> list[ListCauses]:
        """The causes of the lists that have dead letters: of one of them, or of all.

        `list_name` is an ingress list, or a list of dead letters (`DLQ:...`).

        Raises:
            UnknownNameError: there is no such list or storage.
        """
        named = (list_name or "").removeprefix(keys.STORAGE_DEAD_LETTERS)
        if named != (list_name or ""):
            list_name, storage = None, named
        if list_name or storage:
            name = (list_name or "").removeprefix(keys.DEAD_LETTERS) or None
            names = [await self._operations.letters(name, storage)]
        else:
            configured = lists_of(self._configuration.config).dead
            names = list(dict.fromkeys([*configured, *await self.index.lists()]))
        found: list[ListCauses] = []
        for some in batched(names, READ_AT_ONCE):
            found += await asyncio.gather(*(self._causes(name) for name in some))
        return [each for each in found if each.total or each.causes or each.problem]

    async def _causes(self, name: str) -> ListCauses:
        try:
            return await self.index.causes(name)
        except UnusableKeyError as error:
            return ListCauses(name, 0, 0, (), str(error)[:300])


def rows_of(lists: Sequence[ListCauses]) -> list[FailureCause]:
    """One row for each cause, the most frequent first."""
    rows: dict[str, FailureCause] = {}
    for found in lists:
        for cause in found.causes:
            row = rows.setdefault(cause.fingerprint, _row(cause))
            row.count += cause.count
            _add_list(row, found.name)
            _see(row, cause)
        if found.unknown:
            row = rows.setdefault(UNKNOWN, FailureCause(fingerprint=UNKNOWN, count=0))
            row.count += found.unknown
            _add_list(row, found.name)
    return sorted(rows.values(), key=lambda row: (-row.count, row.fingerprint))


def _row(cause: ListCause) -> FailureCause:
    kind, step = _told(cause, "kind"), _told(cause, "step")
    return FailureCause(
        fingerprint=cause.fingerprint,
        step=f"{kind} {step}".strip(),
        type=_told(cause, "type"),
        message=_told(cause, "message"),
        config_hash=_told(cause, "config_hash"),
        chain=_told(cause, "chain"),
        count=0,
    )


def _told(cause: ListCause, name: str) -> str:
    return without_secrets(str(cause.about.get(name) or ""))[:200]


def _add_list(row: FailureCause, name: str) -> None:
    if name not in row.lists:
        row.list_count += 1
        row.lists = [*row.lists, name][:MOST_LISTS]


def _see(row: FailureCause, cause: ListCause) -> None:
    if row.first_seen is None or cause.first_seen < row.first_seen:
        row.first_seen = cause.first_seen
    if row.last_seen is None or cause.last_seen > row.last_seen:
        row.last_seen, row.example = cause.last_seen, cause.newest[:200]


def matching(rows: Sequence[FailureCause], cause: str) -> list[FailureCause]:
    """The rows that a fingerprint, its first digits, or step and type name.

    Raises:
        UnknownNameError: none; the message has those that there are.
    """
    found = [row for row in rows if cause in (row.fingerprint, f"{row.step}: {row.type}")]
    if not found and len(cause) >= SHORTEST_PREFIX:
        found = [row for row in rows if row.fingerprint.startswith(cause.lower())]
    if not found:
        raise UnknownNameError("cause", cause, [row.fingerprint for row in rows[:10]])
    return found
