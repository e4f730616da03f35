"""Bases recorded beside the vCons, as operators ask for them."""

from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from schemas.operator.law.impersonal import IMPERSONAL
from schemas.operator.law.ledger import LAST_ROW
from schemas.uuids import Uuid

LONGEST_TEXT = 200


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("only characters that can be printed, and no spaces around them")
    return text


def _no_star(text: str) -> str:
    if text == "*":
        raise ValueError("a denial of every purpose has none")
    return text


EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
"""Between these a time is read by every program in every zone."""


def _readable(time: datetime) -> datetime:
    if not EARLIEST <= time < LATEST:
        raise ValueError(f"a time from {EARLIEST.year} on and before {LATEST.year}")
    return time


_TEXT = Field(min_length=1, max_length=LONGEST_TEXT)

type Words = Annotated[str, _TEXT, AfterValidator(_printable), IMPERSONAL]
type Purpose = Annotated[
    str, _TEXT, AfterValidator(_printable), IMPERSONAL, AfterValidator(_no_star)
]
type Address = Annotated[str, Field(min_length=1, max_length=250)]
type Time = Annotated[AwareDatetime, AfterValidator(_readable)]
type Basis = Literal[
    "consent",
    "contract",
    "legal_obligation",
    "vital_interests",
    "public_task",
    "legitimate_interests",
]


class BasisSubject(BaseModel, defer_build=True):
    """What a basis is recorded for: one vCon, or a person in all vCons, by number or address."""

    model_config = ConfigDict(extra="forbid")

    vcon_uuid: Uuid | None = Field(None, description="A vCon")
    tel: Address | None = Field(None, description="Or a person, by number")
    mail: Address | None = Field(None, description="Or by mail address")

    @property
    def address(self) -> tuple[Literal["tel", "mailto"], str] | None:
        """The member of a party that is given, and its value; None: a vCon is."""
        if self.tel is not None:
            return "tel", self.tel
        return None if self.mail is None else ("mailto", self.mail)

    @model_validator(mode="after")
    def _one_subject(self) -> Self:
        if [self.vcon_uuid, self.tel, self.mail].count(None) != 2:
            raise ValueError("give exactly one of vcon_uuid, tel, mail")
        return self


class BasisToRecord(BasisSubject):
    """A grant, or with `granted` false a denial, which also revokes an earlier grant.

    A denial without `purpose` is one of every purpose. `granted_at`: when the person or the
    controller said so, now by default. `ref`: where the proof of it is kept, such as a ticket.
    """

    granted: bool = Field(description="false: denied")
    purpose: Purpose | None = Field(None, description="None: every one, of a denial")
    basis: Basis = Field("consent", description="Of a grant")
    granted_at: Time | None = Field(None, description="When it was given; now")
    expires_at: Time | None = Field(None, description="When a grant ends; never")
    ref: Words | None = Field(None, description="Of its proof")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.granted and self.purpose is None:
            raise ValueError("purpose: a grant needs one; only a denial can be of every purpose")
        if not self.granted and self.expires_at is not None:
            raise ValueError(
                "expires_at (--until): only a grant ends; record a grant to end a denial"
            )
        return self


class RecordedBasisRow(BaseModel, defer_build=True):
    """A recorded basis. `purpose` None: every purpose.

    `subject`: the vCon's uuid, or the keyed hash of the number or address; None once that is
    erased.
    """

    id: int
    subject: str | None
    granted: bool
    purpose: str | None
    basis: str
    granted_at: datetime
    expires_at: datetime | None
    recorded_at: datetime
    actor: str
    ref: str | None


class BasisRecorded(RecordedBasisRow):
    """A basis that was recorded, and whom it reaches now.

    `vcons`: how many vCons it is about now. `more`: there are more.
    `notes`: what is odd about the request, such as a purpose that no step requires.
    """

    vcons: int
    more: bool = False
    notes: list[str] = []


class BasesQuery(BasisSubject):
    """Whose recorded bases are shown. `before`: the id of the last one on the page before."""

    limit: int = Field(50, ge=1, le=500)
    before: int | None = Field(None, ge=1, le=LAST_ROW)


class BasesPage(BaseModel, defer_build=True):
    """Recorded bases, newest first; `before` is that of the next page.

    Of a subject and a purpose, the one with the latest `granted_at` is in force.
    """

    bases: list[RecordedBasisRow]
    before: int | None = None
