"""Recorded bases: to record a grant or a denial, and to see what was recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel

from core.db.law.bases import EVERY_PURPOSE, KeptBasis, NewBasis
from core.errors import InvalidError
from core.operator_interfaces import Call, Operation
from pipeline.config.law import LARGEST_SKEW
from pipeline.operator.audit import check_unnamed, checked_reason
from pipeline.operator.law.basis_checks import address_fault, address_note, purpose_doubt
from pipeline.operator.parts import Parts
from pipeline.operator.people.find import Find
from pipeline.operator.row import Row
from schemas.operator.law.bases import (
    BasesPage,
    BasesQuery,
    BasisRecorded,
    BasisSubject,
    BasisToRecord,
    RecordedBasisRow,
)
from schemas.operator.law.ledger import LAST_ROW
from schemas.operator.people import FindQuery

RECORD = Operation(
    "record_basis",
    "Record a grant or a denial for a vCon or a person",
    BasisToRecord,
    BasisRecorded,
    changes=True,
)
SHOW = Operation(
    "recorded_bases", "Grants and denials recorded for a vCon or a person", BasesQuery, BasesPage
)

MOST_COUNTED = 1000
"""vCons of a person that are counted."""
UNKNOWN = (
    "vcon_uuid: neither Redis nor the index has this vCon; what was recorded counts when it comes"
    " in: check the uuid"
)


@dataclass(frozen=True, slots=True)
class Reached:
    """How many vCons a record is about now, and what could not be searched."""

    vcons: int
    more: bool = False
    notes: Sequence[str] = ()


class BasisRecorder:
    """Records bases. What was recorded counts at the next step of each run."""

    def __init__(self, parts: Parts) -> None:
        self._bases = parts.recorded_bases
        self._index = parts.index
        self._admin = parts.partner_admin
        self._configuration = parts.configuration
        self._find = Find(parts)
        self._in_redis = parts.operations.index

    async def record(self, wanted: BasisToRecord, call: Call) -> BasisRecorded:
        """Record a grant or a denial, and its event in the ledger.

        Raises:
            InvalidError: there is no reason, no person can have the number or address, the purpose
                is one slip away from one that a step requires, or a time does not fit.
            GoneError: the vCon is erased.
            UnavailableError: Postgres cannot be reached; recording it again does no harm.
        """
        reason = checked_reason(call)
        person = [wanted.address] if wanted.address else []
        check_unnamed(person, reason=reason, ref=wanted.ref, purpose=wanted.purpose)
        _check_times(wanted)
        self._check_searchable(wanted)
        reached = await self._reached(wanted, call)
        notes = self._check(wanted, reached)
        party = await self._party(wanted)
        purpose = wanted.purpose or EVERY_PURPOSE
        detail = wanted.model_dump(mode="json", exclude_none=True, exclude=_SUBJECT)
        target = party or str(wanted.vcon_uuid)
        await self._admin.audit(RECORD.name, call.author, target, {**detail, "reason": reason})
        new = NewBasis(
            vcon_uuid=wanted.vcon_uuid,
            party=party,
            purpose=purpose,
            granted=wanted.granted,
            basis=wanted.basis,
            granted_at=wanted.granted_at,
            expires_at=wanted.expires_at,
            actor=call.author.actor,
            ref=wanted.ref,
        )
        row = _row(await self._bases.add(new))
        return BasisRecorded(**dict(row), vcons=reached.vcons, more=reached.more, notes=notes)

    async def _reached(self, wanted: BasisSubject, call: Call) -> Reached:
        """The vCons that a record is about now."""
        if wanted.address is not None:
            query = FindQuery(tel=wanted.tel, mail=wanted.mail, limit=MOST_COUNTED)
            page = await self._find.find(query, call)
            return Reached(len(page.vcons), page.cursor is not None, page.notes)
        uuid = str(wanted.vcon_uuid)
        here = await self._in_redis.present([uuid])
        known = here or await self._index.get([uuid])
        return Reached(1 if known else 0, notes=[] if known else [UNKNOWN])

    def _check(self, wanted: BasisToRecord, reached: Reached) -> list[str]:
        """What is odd about a record.

        Raises:
            InvalidError: it can match nothing.
        """
        notes = list(reached.notes)
        problems: list[str] = []
        if wanted.address is not None:
            form = self._index.normal(*wanted.address)
            fault = address_fault(*wanted.address, form)
            (notes if reached.vcons else problems).append(fault)
            notes.append(address_note(wanted.address[0], form, self._index.region))
        if wanted.purpose is not None:
            how = wanted.purpose, self._configuration.config
            refused, note = purpose_doubt(*how, granted=wanted.granted)
            problems.append(refused)
            notes.append(note)
        if told := [each for each in problems if each]:
            raise InvalidError("; ".join(told), told)
        return [each for each in notes if each]

    async def show(self, query: BasesQuery, _call: Call) -> BasesPage:
        """A page of what was recorded.

        Raises:
            InvalidError: nothing to search is in the number or address.
            UnavailableError: Postgres cannot be reached.
        """
        parties: Sequence[str] = ()
        if query.address is not None:
            self._check_searchable(query)
            _, parties = await self._bases.hashed(*query.address)
        how = query.vcon_uuid, parties, query.before or LAST_ROW, query.limit + 1
        rows = await self._bases.page(*how)
        shown = [_row(each) for each in rows[: query.limit]]
        return BasesPage(bases=shown, before=shown[-1].id if len(rows) > query.limit else None)

    async def _party(self, subject: BasisSubject) -> str | None:
        if subject.address is None:
            return None
        now, _ = await self._bases.hashed(*subject.address)
        return now

    def _check_searchable(self, subject: BasisSubject) -> None:
        if subject.address is not None and not self._index.normal(*subject.address):
            msg = f"{'tel' if subject.tel else 'mail'}: nothing that can be searched is in it"
            raise InvalidError(msg, [msg])


_SUBJECT = {"vcon_uuid", "tel", "mail"}


def _check_times(wanted: BasisToRecord) -> None:
    now = datetime.now(UTC)
    given = wanted.granted_at or now
    problems = []
    if given > now + timedelta(seconds=LARGEST_SKEW):
        problems.append("granted_at: it is in the future; record it when it has happened")
    if wanted.expires_at is not None and wanted.expires_at <= max(given, now):
        problems.append("expires_at (--until): it has passed, or is not after granted_at")
    if problems:
        raise InvalidError("; ".join(problems), problems)


def _row(kept: KeptBasis) -> RecordedBasisRow:
    return RecordedBasisRow(
        id=kept.id,
        subject=kept.vcon_uuid or kept.party,
        granted=kept.granted,
        purpose=None if kept.purpose == EVERY_PURPOSE else kept.purpose,
        basis=kept.basis,
        granted_at=kept.granted_at,
        expires_at=kept.expires_at,
        recorded_at=kept.recorded_at,
        actor=kept.actor,
        ref=kept.ref,
    )


def _audits_itself(_parameters: BaseModel) -> None:
    """The audit has the hash of a number or address, not itself."""


def rows(parts: Parts) -> Sequence[Row]:
    """The operations of this file."""
    recorder = BasisRecorder(parts)
    return [Row(RECORD, recorder.record, _audits_itself), Row(SHOW, recorder.show)]
