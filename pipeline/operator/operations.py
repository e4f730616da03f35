"""The table of all operations, and their call: `core.operator_interfaces.OperatorApi`.

A new operation: models in `schemas/operator/`, a function here in the room, a row in `rows`; then a
command in `app/operator_cli/commands/` and a page in `http_api/console/`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ValidationError

from core.errors import InvalidError, UnknownNameError
from core.observability.storable_text import storable_text
from core.operator_interfaces import Call, Operation
from pipeline.operator import pauses
from pipeline.operator.audit import Audit, checked_reason
from pipeline.operator.backup import recovering
from pipeline.operator.backups import Backups
from pipeline.operator.causes import failures, replays
from pipeline.operator.configuration import DIFF, SHOW, ConfigurationView
from pipeline.operator.law import bases, erasures, ledger, verification, withheld
from pipeline.operator.numbers.partners import PARTNERS, PartnerReader
from pipeline.operator.numbers.slow import SLOW, SlowStepReader
from pipeline.operator.numbers.stats import STATS, StatsReader
from pipeline.operator.numbers.status import STATUS, StatusReader
from pipeline.operator.parts import Parts
from pipeline.operator.people import erase, find, partner_keys
from pipeline.operator.row import Row
from pipeline.operator.trying import TRY, ConfigurationTrials
from pipeline.operator.views import destinations
from pipeline.operator.views.running import RUNNING, RunningView
from pipeline.operator.views.tail import TAIL, TailView
from pipeline.operator.views.timeline import TIMELINE, TimelineView
from schemas.operator.audit import AuditPage, AuditQuery
from schemas.operator.backup import (
    BackupParameters,
    BackupResult,
    RestoreParameters,
    RestoreResult,
)

MOST_PROBLEMS = 20
"""Arguments that a refusal names at most."""

_BACKUP = Operation(
    "backup",
    "Write all of Redis and Postgres to a file",
    BackupParameters,
    BackupResult,
    people=True,
    remote=False,
)
_RESTORE = Operation(
    "restore",
    "Restore a backup into empty servers",
    RestoreParameters,
    RestoreResult,
    changes=True,
    remote=False,
)


def _audited_at_its_end(_parameters: BaseModel) -> None:
    """The tables must be empty before a restore: it audits itself after it."""


def rows(parts: Parts) -> list[Row]:
    """All operations."""
    audit, backups = Audit(parts), Backups(parts)
    view, trials = ConfigurationView(parts), ConfigurationTrials(parts)
    return [
        Row(STATUS, StatusReader(parts).status),
        Row(STATS, StatsReader(parts).stats),
        Row(SLOW, SlowStepReader(parts).slow),
        Row(PARTNERS, PartnerReader(parts).partners),
        Row(Operation("audit", "Who changed what, and why", AuditQuery, AuditPage), audit.events),
        Row(_BACKUP, backups.backup),
        Row(_RESTORE, backups.restore, _audited_at_its_end),
        Row(RUNNING, RunningView(parts).show),
        Row(TAIL, TailView(parts).show),
        Row(TIMELINE, TimelineView(parts).show),
        Row(SHOW, view.show),
        Row(DIFF, view.diff),
        Row(TRY, trials.try_out),
        *pauses.rows(parts),
        *destinations.rows(parts),
        *recovering.rows(parts),
        *failures.rows(parts),
        *replays.rows(parts),
        *find.rows(parts),
        *erase.rows(parts),
        *partner_keys.rows(parts),
        *withheld.rows(parts),
        *verification.rows(parts),
        *bases.rows(parts),
        *erasures.rows(parts),
        *ledger.rows(parts),
    ]


class OperatorOperations:
    """Calls operations by name."""

    def __init__(self, parts: Parts) -> None:
        self._admin = parts.partner_admin
        self._rows = {row.operation.name: row for row in rows(parts)}

    @property
    def operations(self) -> Mapping[str, Operation]:
        """All operations by name."""
        return {name: row.operation for name, row in self._rows.items()}

    async def perform(self, name: str, arguments: Mapping[str, Any], call: Call) -> BaseModel:
        """Check the arguments, audit the call if it changes something, and carry it out.

        Raises:
            UnknownNameError: there is no such operation.
            InvalidError: an argument is not valid, or a change has no reason.
        """
        row = self._rows.get(name)
        if row is None:
            raise UnknownNameError("operation", name[:100], list(self._rows))
        parameters = _checked(row.operation.parameters, arguments)
        call = replace(call, reason=storable_text(call.reason))
        if row.operation.changes and (audited := row.audited(parameters)) is not None:
            await self._audit(name, audited, call)
        return await row.handler(parameters, call)

    async def close(self) -> None:
        """End what operations go on with in the background."""
        for row in self._rows.values():
            if row.close is not None:
                await row.close()

    async def _audit(self, name: str, audited: tuple[str, Mapping[str, Any]], call: Call) -> None:
        reason = checked_reason(call)
        target, detail = audited
        await self._admin.audit(name, call.author, target, {**detail, "reason": reason})


def _checked(model: type[BaseModel], arguments: Mapping[str, Any]) -> BaseModel:
    try:
        return model.model_validate(arguments)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False, include_context=False)
        problems = [_problem(each["loc"], each["msg"]) for each in details[:MOST_PROBLEMS]]
        raise InvalidError("; ".join(problems), problems) from None


def _problem(place: Sequence[str | int], message: str) -> str:
    name = ".".join(str(part)[:100] for part in place)
    said = message.removeprefix("Value error, ")[:200]
    return f"{name}: {said}" if name else said
