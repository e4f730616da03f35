"""Withheld vCons, and their release, as operators ask for it."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from schemas.uuids import Uuid

LONGEST_LIST = 512
MOST_RELEASED = 1000
MOST_LISTED = 1000

type ListName = Annotated[str, Field(min_length=1, max_length=LONGEST_LIST)]


class WithheldQuery(BaseModel, defer_build=True):
    """Which withheld vCons are shown: of all lists, or of one ingress list or `run:{chain}`.

    `cursor`: that of the page before, as it is.
    """

    model_config = ConfigDict(extra="forbid")

    list_name: ListName | None = None
    limit: int = Field(50, ge=1, le=500)
    cursor: str | None = Field(None, max_length=LONGEST_LIST + 20)


class WithheldVcon(BaseModel, defer_build=True):
    """A vCon whose run was withheld before a step.

    `law`: the error by its name in the lawful-basis draft. `place`: where in the vCon, or of which
    recorded basis, the reason is; it holds no value of the vCon. `kind` is link, storage, tracer or
    egress, `step` its name.
    """

    vcon_uuid: str
    list_name: str
    chain: str | None = None
    kind: str | None = None
    step: str | None = None
    purpose: str | None = None
    law: str | None = None
    place: str | None = None
    error: str | None = None
    run_id: str | None = None
    at: datetime | None = None


class WithheldCount(BaseModel, defer_build=True):
    """How many vCons of one list are withheld."""

    list_name: str
    count: int


class WithheldPage(BaseModel, defer_build=True):
    """Withheld vCons, list by list, oldest first; `cursor` is that of the next page."""

    vcons: list[WithheldVcon]
    counts: list[WithheldCount]
    total: int
    cursor: str | None = None


def _listed(value: object) -> object:
    """A uuid alone, as forms send it, is a list of one."""
    return [value] if isinstance(value, str) else value


class ReleaseParameters(BaseModel, defer_build=True):
    """Which withheld vCons go on: these, or those of one list, oldest first.

    Of a list, `limit` are looked at; `cursor`, that of an earlier result as it is, goes on after
    those. `every`: all that are in the list now, `limit` at a time; that may take minutes.
    """

    model_config = ConfigDict(extra="forbid")

    vcon_uuids: Annotated[list[Uuid], BeforeValidator(_listed)] = Field([], max_length=100)
    list_name: ListName | None = None
    limit: int = Field(100, ge=1, le=MOST_RELEASED)
    cursor: str | None = Field(None, max_length=60)
    every: bool = False

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.vcon_uuids and self.list_name is None:
            raise ValueError("give vcon_uuids (--uuid), list_name (--list), or both")
        if self.vcon_uuids and (self.cursor is not None or self.every):
            raise ValueError("cursor and every are for a list, without vcon_uuids (--uuid)")
        return self


class ReleasedVcon(BaseModel, defer_build=True):
    """A vCon that goes on at the step where it was withheld, in a new run."""

    vcon_uuid: str
    list_name: str
    run_id: str


class ReleaseResult(BaseModel, defer_build=True):
    """What was released, and what is still withheld, with the error of now.

    Each list has the first 1,000; `released_count` and `withheld_count` count all. `cursor`: there
    are more in the list, which another call with it looks at.
    """

    released: list[ReleasedVcon] = []
    withheld: list[WithheldVcon] = []
    released_count: int = 0
    withheld_count: int = 0
    cursor: str | None = None

    def add(self, outcome: ReleasedVcon | WithheldVcon) -> None:
        """Count one vCon, and list it among the first."""
        if isinstance(outcome, ReleasedVcon):
            self.released_count += 1
            if len(self.released) < MOST_LISTED:
                self.released.append(outcome)
        else:
            self.withheld_count += 1
            if len(self.withheld) < MOST_LISTED:
                self.withheld.append(outcome)
