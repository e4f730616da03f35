"""Requests for erasures, and what is said about them; `work.py` carries them out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal
from uuid import UUID

from core.concurrency.thread_pool import BoundedCalls
from core.db.law.erasures import ErasureRows, NewErasure
from core.errors import ConflictError, InvalidError, UnknownNameError
from core.run_ids import new_run_id
from pipeline.erasure.states import ANSWER_WITHIN
from pipeline.erasure.work import ErasureWork
from schemas.law.erasures import Erasure, ErasurePage, ErasureTarget
from schemas.operator.status import ErasureCounts

MOST_VCONS: Final = 5000
"""vCons of one erasure."""
MOST_STATEMENTS: Final = 100
"""Versions of the statement of one erasure."""
MOST_KEPT: Final = 40_000_000
"""Characters from which on no further version is added; they are in one row, read at each pass."""
_FIRST: Final = ("infinity", str(UUID(int=0)))

type Answer = Literal["acknowledged", "cannot"]
"""What is said about a destination by hand: it has erased the vCon, or never will."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be erased; `vcons` with all that links made of them.

    `hold`: why it must not be carried out now. `party`: the keyed hash of the person's value, which
    is kept only where `suppress` refuses later vCons of the person. `sought` and `bases`: every
    hash of it in the index and in recorded bases, which are kept while the erasure is held.
    """

    vcons: Sequence[str]
    actor: str
    ref: str | None = None
    subject: Literal["vcon", "party"] = "vcon"
    hold: str | None = None
    suppress: bool = False
    party: str | None = None
    sought: Sequence[str] = ()
    bases: Sequence[str] = ()


class Erasures:
    """Erasures as operators and actions see them. Every method may raise UnavailableError."""

    def __init__(self, rows: ErasureRows, calls: BoundedCalls, work: ErasureWork) -> None:
        """`calls` carries the calls of `rows`."""
        self._rows = rows
        self._calls = calls
        self._work = work

    async def request(self, request: Request) -> Erasure:
        """Note an erasure; it is carried out in the background, or by `advance`.

        A request for one vCon that is being erased is answered with that erasure.

        Raises:
            ConflictError: one of the vCons is in an erasure that is held, or it is to be held and
                is in one that is not.
            InvalidError: there are more than `MOST_VCONS` vCons.
        """
        if len(request.vcons) > MOST_VCONS:
            msg = f"{len(request.vcons)} vCons; one erasure has at most {MOST_VCONS}"
            raise InvalidError(msg)
        known = [*map(Erasure.model_validate, await self._open_of(request.vcons))]
        for each in known:
            if each.state == "held" and request.hold is None:
                raise _held(each)
            if each.state != "held" and request.hold is not None:
                msg = f"erasure {each.id} of this vCon is {each.state}: it can be held no more"
                raise ConflictError(msg)
        covering = [each for each in known if set(request.vcons) <= set(each.vcons)]
        if request.subject == "vcon" and covering:
            return covering[0]
        new = NewErasure(
            id=new_run_id(),
            subject=request.subject,
            vcons=list(dict.fromkeys(request.vcons)),
            actor=request.actor,
            ref=request.ref,
            hold=request.hold,
            suppress=request.suppress,
            party=request.party if request.suppress else None,
            sought=request.sought if request.hold else (),
            bases=request.bases if request.hold else (),
        )
        await self._calls(self._rows.request, new)
        return await self.get(new.id)

    async def _open_of(self, vcon_uuids: Sequence[str]) -> Sequence[object]:
        return await self._calls(self._rows.open_of, vcon_uuids) if vcon_uuids else []

    async def get(self, erasure_id: str) -> Erasure:
        """An erasure with its destinations.

        Raises:
            UnknownNameError: there is none with this id.
        """
        row = await self._calls(self._rows.get, erasure_id)
        if row is None:
            raise UnknownNameError("erasure", erasure_id)
        targets = await self._calls(self._rows.targets, erasure_id)
        found = Erasure.model_validate(row)
        found.targets = [ErasureTarget.model_validate(each) for each in targets]
        return found

    async def page(
        self, limit: int, cursor: str | None = None, *, open_only: bool = False
    ) -> ErasurePage:
        """Erasures without their destinations, newest first.

        Raises:
            InvalidError: the cursor is none of a page.
        """
        at, before = _FIRST if cursor is None else _position(cursor)
        rows = await self._calls(self._rows.page, limit, at, before, open_only=open_only)
        erasures = [Erasure.model_validate(each) for each in rows]
        more = _cursor(erasures[-1]) if len(erasures) == limit else None
        return ErasurePage(erasures=erasures, cursor=more)

    async def counts(self) -> ErasureCounts:
        """How many have not ended, and for how many of them the law's time is over."""
        before = datetime.now(UTC) - ANSWER_WITHIN
        return ErasureCounts.model_validate(await self._calls(self._rows.counts, before))

    async def hold(self, erasure_id: str, why: str) -> Erasure:
        """Hold an erasure that has not begun.

        Raises:
            UnknownNameError: there is none with this id.
            ConflictError: it has begun.
        """
        if await self._calls(self._rows.hold, erasure_id, why) is None:
            found = await self.get(erasure_id)
            raise ConflictError(f"erasure {found.id} is {found.state}: it can be held no more")
        return await self.get(erasure_id)

    async def go_on(self, erasure_id: str) -> Erasure:
        """End the hold of an erasure.

        Raises:
            UnknownNameError: there is none with this id.
            ConflictError: it is not held.
        """
        if await self._calls(self._rows.go_on, erasure_id) is None:
            found = await self.get(erasure_id)
            raise ConflictError(f"erasure {found.id} is {found.state}, not held")
        return await self.get(erasure_id)

    async def answer(
        self, erasure_id: str, kind: str, name: str, answer: Answer, vcon_uuid: str | None = None
    ) -> Erasure:
        """Note what a destination has answered, for all vCons unless one is named.

        An erasure that has ended ends once more, with a statement that names the one before.

        Raises:
            UnknownNameError: the erasure has no such destination.
            ConflictError: the destination needs no answer, or has given this one; or the erasure
                has as many statements as are kept.
        """
        found = await self.destination(erasure_id, kind, name, vcon_uuid)
        _check_room(found)
        words = erasure_id, kind, name, answer, vcon_uuid
        if not await self._calls(self._rows.answer, *words):
            raise ConflictError(_needs_none(found.targets, kind, name, answer))
        return await self.get(erasure_id)

    async def destination(
        self, erasure_id: str, kind: str, name: str, vcon_uuid: str | None = None
    ) -> Erasure:
        """The erasure, with the targets that are this destination.

        Raises:
            UnknownNameError: there is no such erasure, or it has no such destination; the message
                names those that it has.
        """
        found = await self.get(erasure_id)
        named = [each for each in found.targets if (each.kind, each.name) == (kind, name)]
        if not named:
            known = sorted({f"{each.kind} {each.name}" for each in found.targets})
            raise UnknownNameError("destination", f"{kind} {name}", known)
        if vcon_uuid is not None:
            named = [each for each in named if each.vcon_uuid == vcon_uuid]
        if not named:
            raise UnknownNameError(f"vCon of {kind} {name} in this erasure", str(vcon_uuid))
        return found.model_copy(update={"targets": named})

    async def advance(self, erasure_id: str) -> Erasure:
        """Go on with an erasure now, if it is due."""
        await self._work.advance(erasure_id)
        return await self.get(erasure_id)


def _check_room(erasure: Erasure) -> None:
    """Raise ConflictError if no further statement can be kept with these."""
    kept = [*erasure.progress.earlier, erasure.statement or ""]
    size = sum(map(len, kept))
    if len(kept) > MOST_STATEMENTS or size > MOST_KEPT:
        msg = (
            f"erasure {erasure.id} has {len(kept)} statements of {size} characters already: no"
            f" answer is noted after {MOST_STATEMENTS}, or {MOST_KEPT} characters"
        )
        raise ConflictError(msg)


def _needs_none(targets: Sequence[ErasureTarget], kind: str, name: str, answer: str) -> str:
    states = sorted({each.state for each in targets})
    if states == [answer]:
        return f"{kind} {name} is {answer} already"
    return (
        f"{kind} {name} needs no answer: it is {' and '.join(states)}; an answer changes what is"
        " pending, told, cannot, unreachable or acknowledged"
    )


def _held(erasure: Erasure) -> ConflictError:
    msg = f"erasure {erasure.id} of this vCon is held ({erasure.hold}); end its hold first"
    return ConflictError(msg)


def _position(cursor: str) -> tuple[str, str]:
    try:
        at, before = cursor.split("~")
        return datetime.fromisoformat(at).isoformat(), str(UUID(before))
    except ValueError:
        raise InvalidError("cursor: give that of the page before, as it is") from None


def _cursor(last: Erasure) -> str:
    at: datetime = last.requested_at
    return f"{at.isoformat()}~{last.id}"
