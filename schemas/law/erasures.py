"""Erasures under the conversations' law, as operators ask for them and follow them."""

from datetime import datetime
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from schemas.operator.law.impersonal import IMPERSONAL
from schemas.operator.people import MOST_ERASED, ErasedVcon, Person
from schemas.uuids import Uuid

LONGEST_HOLD = 200

type ErasureState = Literal[
    "requested", "held", "running", "waiting", "manual", "complete", "complete_with_exceptions"
]
type TargetState = Literal[
    "pending", "deleted", "verified", "told", "acknowledged", "cannot", "unreachable"
]
ENDED: Final = ("complete", "complete_with_exceptions")
EXCEPTIONS: Final = ("told", "cannot", "unreachable")
"""States of destinations that make an erasure end with exceptions: a copy may still be there."""
MOST_LISTED = 200


_HOLD = StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_HOLD)
type Hold = Annotated[str, _HOLD, IMPERSONAL]


class _Order(BaseModel, defer_build=True):
    model_config = ConfigDict(extra="forbid")

    hold: Hold | None = None
    """Why the vCons must be kept for now; nothing is erased until the hold is released."""
    dry_run: bool = False


class VconErasure(_Order):
    """The vCon to erase, with what links made of it."""

    vcon_uuid: Uuid


class PartyErasure(_Order, Person):
    """The person whose vCons are erased.

    `suppress`: a denial of every purpose is recorded for the number or address.
    """

    suppress: bool = False
    limit: int = Field(1000, ge=1, le=MOST_ERASED)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.given) != 1:
            raise ValueError("give exactly one of tel, mail, name")
        if self.suppress and self.name is not None:
            raise ValueError("suppress: needs tel or mail, since a name is many people's")
        return self


class ErasureTarget(BaseModel, defer_build=True):
    """A destination that got one of the vCons, or may have; `error`: a type without its text.

    `detail` has `found`, if the vCon was there when it was deleted.
    """

    vcon_uuid: str
    kind: str
    name: str
    state: TargetState
    attempts: int = 0
    due_at: datetime | None = None
    changed_at: datetime
    error: str | None = None
    detail: dict[str, bool] = {}


class Progress(BaseModel, defer_build=True):
    """What an erasure has noted of itself.

    `unknown`: vCons of which nothing was known when it began. `history_from`: where the history of
    runs began then, if that is after one of the vCons; "" if it was empty. `earlier`: statements
    that an answer after the end has replaced, the oldest first. `more`: the person has more vCons
    than one erasure takes. `sought` and `party`, of a held one: by what the index finds the person,
    until it begins, and whose recorded grants are forgotten, until it ends.
    """

    unknown: list[str] = []
    history_from: str | None = None
    earlier: list[str] = []
    more: bool = False
    sought: list[str] = Field([], exclude=True)
    party: list[str] = Field([], exclude=True)


class Erasure(BaseModel, defer_build=True):
    """One erasure. `statement` is signed, once it has ended; lists have neither targets nor it."""

    id: str
    subject: Literal["vcon", "party"]
    state: ErasureState
    vcons: list[str]
    hold: str | None = None
    suppress: bool = False
    requested_at: datetime
    updated_at: datetime
    due_at: datetime | None = None
    ended_at: datetime | None = None
    actor: str
    ref: str | None = None
    targets: list[ErasureTarget] = []
    statement: str | None = None
    progress: Progress = Progress()

    @property
    def exceptions(self) -> list[ErasureTarget]:
        """The destinations that may still have a copy."""
        return [each for each in self.targets if each.state in EXCEPTIONS]


class ErasureResult(BaseModel, defer_build=True):
    """What was requested, or with `dry_run` what would be: `vcons` with their places."""

    dry_run: bool
    found: int
    more: bool = False
    erasure: Erasure | None = None
    vcons: list[ErasedVcon] = []
    notes: list[str] = []


class ErasureQuery(BaseModel, defer_build=True):
    """Which erasure."""

    model_config = ConfigDict(extra="forbid")

    id: Uuid


class HoldToRelease(ErasureQuery):
    """The held erasure that shall be carried out now."""


class DestinationAnswer(ErasureQuery):
    """What a destination has said: of one of its vCons, or of all of them."""

    kind: str = Field(min_length=1, max_length=20)
    name: str = Field(min_length=1, max_length=200)
    answer: Literal["acknowledged", "cannot"] = "acknowledged"
    vcon_uuid: Uuid | None = None


class ErasuresQuery(BaseModel, defer_build=True):
    """Erasures, newest first; `cursor`: that of the page before, as it is."""

    model_config = ConfigDict(extra="forbid")

    open_only: bool = False
    limit: int = Field(50, ge=1, le=MOST_LISTED)
    cursor: str | None = Field(None, max_length=100)


class ErasurePage(BaseModel, defer_build=True):
    """A page of erasures, without their destinations and statements."""

    erasures: list[Erasure]
    cursor: str | None = None
