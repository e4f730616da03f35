"""Finding and erasing the vCons of a person, as operators ask for it."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.uuids import Uuid

LONGEST_VALUE = 250
MOST_UUIDS = 1000
MOST_ERASED = 5000

type Value = Annotated[str, Field(min_length=1, max_length=LONGEST_VALUE)]


class Person(BaseModel, defer_build=True):
    """By which value vCons are found: a number however it is written, an address, or a name."""

    model_config = ConfigDict(extra="forbid")

    tel: Value | None = None
    mail: Value | None = None
    name: Value | None = None

    @property
    def given(self) -> list[tuple[Literal["tel", "mailto", "name"], str]]:
        """The field as vCons call it, and the value, of each that is given."""
        fields = (("tel", self.tel), ("mailto", self.mail), ("name", self.name))
        return [(field, value) for field, value in fields if value is not None]  # type: ignore[misc]


class FindQuery(Person):
    """Whose vCons are looked for. `cursor`: that of the page before, as it is."""

    limit: int = Field(50, ge=1, le=1000)
    cursor: str | None = Field(None, max_length=500)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.given) != 1:
            raise ValueError("give exactly one of tel, mail, name")
        return self


class FoundVcon(BaseModel, defer_build=True):
    """One vCon of the person.

    `in_redis`: its document is in Redis now. `indexed`: Postgres has it under this value; what is
    not indexed has run through no chain yet, or did before there was an index.
    """

    uuid: str
    created_at: datetime | None
    chains: list[str]
    storages: list[str]
    in_redis: bool
    indexed: bool


class FoundPage(BaseModel, defer_build=True):
    """vCons of the person: those of the index, newest first, then others that are in Redis.

    `sought`: the value as it was compared. `notes`: what could not be searched.
    """

    sought: str
    vcons: list[FoundVcon]
    cursor: str | None = None
    notes: list[str] = []


class EraseParameters(Person):
    """Which vCons are erased: those named, or those of a person; at most `limit`."""

    uuids: list[Uuid] = Field([], max_length=MOST_UUIDS)
    limit: int = Field(1000, ge=1, le=MOST_ERASED)
    dry_run: bool = False

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.given) + bool(self.uuids) != 1:
            raise ValueError("give exactly one of uuids, tel, mail, name")
        return self


type Outcome = Literal[
    "deleted",
    "absent",
    "would be deleted",
    "would be told",
    "cannot delete",
    "failed",
    "being processed",
]


class Place(BaseModel, defer_build=True):
    """`redis`, a storage or another destination, and what was done there.

    `error`: why the vCon may still be there.
    """

    place: str
    outcome: Outcome
    error: str = ""


class ErasedVcon(BaseModel, defer_build=True):
    """One vCon. `made_from`: another vCon to be erased, of which a link made this one.

    `complete`: no place has it any more.
    """

    uuid: str
    created_at: datetime | None
    made_from: str | None = None
    places: list[Place]
    complete: bool = False


class EraseResult(BaseModel, defer_build=True):
    """What was erased, a row for each vCon; `more`: there are more than `limit`."""

    dry_run: bool
    found: int
    erased: int
    left: int
    more: bool
    vcons: list[ErasedVcon]
    notes: list[str] = []
