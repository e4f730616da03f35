"""Erasures under the law: requests for them, holds, what destinations answer, and how far they are.

Which vCons an erasure is about is decided here, as the operation `erase` does; what becomes of them
is in `pipeline/erasure/`, in the background. The value of a person is neither kept nor audited: the
audit has its keyed hash, and so has an erasure that also refuses later vCons of the person.
"""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from core.db.law.bases import EVERY_PURPOSE, NewBasis
from core.db.law.places import NewTarget
from core.operator_interfaces import Call, Operation
from pipeline.erasure.destinations import Destinations
from pipeline.erasure.erasures import Erasures, Request
from pipeline.erasure.plan import REDIS, Plan
from pipeline.erasure.statement import history_note
from pipeline.erasure.traces import Traces
from pipeline.ledger.recorded_bases import Address
from pipeline.operator.audit import check_unnamed, checked_reason
from pipeline.operator.parts import Parts
from pipeline.operator.people.erase import Erase
from pipeline.operator.people.selection import Selection
from pipeline.operator.row import Row, about
from schemas.law.erasures import (
    DestinationAnswer,
    Erasure,
    ErasurePage,
    ErasureQuery,
    ErasureResult,
    ErasuresQuery,
    HoldToRelease,
    PartyErasure,
    VconErasure,
)
from schemas.operator.people import ErasedVcon, EraseParameters, Place

OF_VCON = Operation(
    "erase_vcon", "Erase a vCon under the law", VconErasure, ErasureResult, changes=True
)
OF_PARTY = Operation(
    "erase_party",
    "Erase a person's vCons under the law",
    PartyErasure,
    ErasureResult,
    changes=True,
    people=True,
)
ONE = Operation("erasure", "One erasure with its destinations", ErasureQuery, Erasure)
PAGE = Operation("erasures", "Erasures under the law", ErasuresQuery, ErasurePage)
RELEASE = Operation(
    "erasure_release", "End the hold of an erasure", HoldToRelease, Erasure, changes=True
)
ANSWER = Operation(
    "erasure_answer",
    "Note that a destination has erased a vCon, or cannot",
    DestinationAnswer,
    Erasure,
    changes=True,
)


class ErasureOperations:
    """Requests erasures and shows them."""

    def __init__(self, parts: Parts) -> None:
        self._erase = Erase(parts)
        self._erasures: Erasures = parts.erasures
        self._plan: Plan = parts.erasure_plan
        self._destinations: Destinations = parts.destinations
        self._traces: Traces = parts.traces
        self._bases = parts.recorded_bases
        self._admin = parts.partner_admin

    async def of_vcon(self, wanted: VconErasure, call: Call) -> ErasureResult:
        """Erase a vCon, and what links made of it.

        Raises:
            ConflictError: an erasure of one of them is held.
            UnavailableError: Postgres or Redis cannot be reached; nothing was requested.
        """
        sought = EraseParameters(uuids=[wanted.vcon_uuid], dry_run=wanted.dry_run)
        return await self._requested(wanted, sought, call)

    async def of_party(self, wanted: PartyErasure, call: Call) -> ErasureResult:
        """Erase the vCons of a person, at most `limit`, and whose the recorded grants are.

        With `suppress` a denial of every purpose is recorded for the person.

        Raises:
            InvalidError: nothing that can be searched is in the value.
            ConflictError: an erasure of one of the vCons is held.
            UnavailableError: Postgres or Redis cannot be reached; nothing was requested.
        """
        person = wanted.model_dump(include={"tel", "mail", "name", "limit", "dry_run"})
        return await self._requested(wanted, EraseParameters(**person), call)

    async def _requested(
        self, wanted: VconErasure | PartyErasure, sought: EraseParameters, call: Call
    ) -> ErasureResult:
        if wanted.dry_run:
            return await self._foreseen(sought, call)
        check_unnamed(sought.given, hold=wanted.hold)
        selection = await self._erase.selected(sought, call)
        vcons = [each.uuid for each in selection.targets]
        known = await self._plan.knowledge(_unindexed(selection))
        notes = [*selection.notes, *known.notes, *_none_found(selection)]
        detail = {"found": len(vcons), "hold": wanted.hold, "suppress": _suppresses(wanted)}
        operation = OF_PARTY.name if sought.given else OF_VCON.name
        party = await self._erase.audit(operation, sought, call, detail)
        value = sought.given[0] if sought.given and not selection.more else None
        request = Request(
            vcons,
            call.author.actor,
            call.author.ref,
            subject="party" if sought.given else "vcon",
            hold=wanted.hold,
            suppress=_suppresses(wanted),
            party=party if sought.given else None,
            sought=await self._erase.sought(*value) if value and wanted.hold else (),
            bases=[each for _, forms in await self._hashed(sought) for each in forms],
        )
        if request.suppress:
            [(person, _)] = await self._hashed(sought)
            await self._bases.add(_denial(person, call))
        erasure = await self._erasures.request(request)
        if wanted.hold is None:
            await self._forget_party(sought)
        told = {"found": len(vcons), "more": selection.more, "notes": notes}
        return ErasureResult(dry_run=False, erasure=erasure, **told)

    async def _foreseen(self, sought: EraseParameters, call: Call) -> ErasureResult:
        """What would be requested; the destinations are those that the erasure would begin with."""
        selection = await self._erase.selected(sought, call)
        vcons = {each.uuid: await self._erase.preview(each) for each in selection.targets}
        await self._place_all(vcons)
        known = await self._plan.knowledge(_unindexed(selection))
        notes = [*selection.notes, *known.notes, *_none_found(selection)]
        begins = await self._plan.history_from(
            [each for each in vcons if each not in known.unknown]
        )
        notes += [history_note(begins)] if begins is not None else []
        told = {"found": len(vcons), "more": selection.more, "notes": notes}
        return ErasureResult(dry_run=True, vcons=list(vcons.values()), **told)

    async def _place_all(self, vcons: Mapping[str, ErasedVcon]) -> None:
        unread = await self._plan.unread(list(vcons))
        for target in await self._plan.targets(list(vcons)):
            places = vcons[target.vcon_uuid].places
            if target.kind == "egress" and (target.vcon_uuid, target.name) in unread:
                places.append(Place(place=f"egress {target.name}", outcome="would be deleted"))
            elif target.kind != REDIS:
                places.append(await self._place(target))

    async def _place(self, target: NewTarget) -> Place:
        if target.kind != "storage":
            return self._destinations.foreseen(target.kind, target.name)
        place = await self._erase.storage_preview(target.name)
        if place.outcome == "cannot delete" and self._destinations.is_told(target.name):
            return Place(place=target.name, outcome="would be told")
        return place

    async def _forget_party(self, sought: EraseParameters) -> None:
        for _, forms in await self._hashed(sought):
            await self._traces.forget_party(forms)

    async def _hashed(self, sought: EraseParameters) -> list[tuple[str, Sequence[str]]]:
        """The person as recorded bases have them, now and ever: not as index and audit do."""
        given: list[tuple[Address, str | None]] = [("tel", sought.tel), ("mailto", sought.mail)]
        hashed = [await self._bases.hashed(name, value) for name, value in given if value]
        return [(now, [each for each in forms if ":" not in each]) for now, forms in hashed]

    async def one(self, query: ErasureQuery, _call: Call) -> Erasure:
        """An erasure with its destinations and, once it has ended, its statement.

        Raises:
            UnknownNameError: there is none with this id.
        """
        return await self._erasures.get(query.id)

    async def page(self, query: ErasuresQuery, _call: Call) -> ErasurePage:
        """A page of erasures, newest first."""
        return await self._erasures.page(query.limit, query.cursor, open_only=query.open_only)

    async def release(self, wanted: HoldToRelease, _call: Call) -> Erasure:
        """Let a held erasure begin.

        Raises:
            UnknownNameError: there is none with this id.
            ConflictError: it is not held.
        """
        return await self._erasures.go_on(wanted.id)

    async def answer(self, told: DestinationAnswer, call: Call) -> Erasure:
        """Note what a destination has said by other means, such as a letter.

        Raises:
            InvalidError: there is no reason.
            UnknownNameError: there is no such erasure or destination; it is not audited, since its
                name may be anything.
            ConflictError: no answer is missing, or it is the one that it has given.
        """
        reason = checked_reason(call)
        await self._erasures.destination(told.id, told.kind, told.name, told.vcon_uuid)
        _, detail = about("id")(told) or ("", {})
        await self._admin.audit(ANSWER.name, call.author, told.id, {**detail, "reason": reason})
        place = told.kind, told.name, told.answer
        return await self._erasures.answer(told.id, *place, told.vcon_uuid)


def _none_found(selection: Selection) -> list[str]:
    return [] if selection.targets else ["no vCon was found by this value: check how it is written"]


def _unindexed(selection: Selection) -> list[str]:
    """Those that may be unknown: what links made is known by their runs."""
    return [
        each.uuid for each in selection.targets if each.storages is None and each.made_from is None
    ]


def _denial(party: str, call: Call) -> NewBasis:
    """Of every purpose, from now on: steps with `requires` get no later vCon of the person."""
    return NewBasis(
        vcon_uuid=None,
        party=party,
        purpose=EVERY_PURPOSE,
        granted=False,
        basis="consent",
        granted_at=None,
        expires_at=None,
        actor=call.author.actor,
        ref=call.author.ref,
    )


def _suppresses(wanted: VconErasure | PartyErasure) -> bool:
    return isinstance(wanted, PartyErasure) and wanted.suppress


def _audits_itself(_parameters: BaseModel) -> None:
    """A request is audited by the hash of the value, whose secret is read from Postgres."""


def rows(parts: Parts) -> Sequence[Row]:
    """The operations of this file."""
    erasures = ErasureOperations(parts)
    return [
        Row(OF_VCON, erasures.of_vcon, _audits_itself),
        Row(OF_PARTY, erasures.of_party, _audits_itself),
        Row(ONE, erasures.one),
        Row(PAGE, erasures.page),
        Row(RELEASE, erasures.release, about("id")),
        Row(ANSWER, erasures.answer, _audits_itself),
    ]
