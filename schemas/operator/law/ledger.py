"""The ledger of the law, as operators ask for it."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.uuids import Uuid

MOST_ROWS = 500
LAST_ROW = 2**63 - 1
"""The largest number of a row in Postgres."""

type Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class CustodyQuery(BaseModel, defer_build=True):
    """Which vCon, and which page of it: rows after these numbers, those of the page before."""

    model_config = ConfigDict(extra="forbid")

    vcon_uuid: Uuid = Field(description="The vCon")
    after_delivery: int = Field(
        0, ge=0, le=LAST_ROW, description="`next_delivery` of the page before"
    )
    after_event: int = Field(0, ge=0, le=LAST_ROW, description="`next_event` of the page before")
    limit: int = Field(100, ge=1, le=MOST_ROWS, description="Rows of each kind, at most")


class Version(BaseModel, defer_build=True):
    """A document that the service had.

    `origin`: `received`, `enhanced`, `redacted` or `amended`. `prior`: the vCon of which an amended
    one was made. `form`: of a received one, whether it came signed. `signers`: SHA-256 of trusted
    certificates, if the signatures were verified.
    """

    id: int
    origin: str
    form: str
    chain: str | None
    run_id: str | None
    bytes: int
    signers: list[str]
    recorded_at: datetime
    prior: str | None


class Delivery(BaseModel, defer_build=True):
    """A call that gave the vCon away, or may have.

    `kind`: `link`, `storage`, `tracer` or `egress`. `purpose`, `profile` and `basis` say what
    allowed it; None where nothing was required. `outcome`: `ok`: acknowledged, `failed`, `unknown`:
    the process ended before it was told; None: the run has not ended. `error`: its type.
    """

    id: int
    kind: str
    name: str
    chain: str | None
    run_id: str | None
    attempt: int
    worker: str | None
    purpose: str | None
    profile: str | None
    basis: str | None
    begun_at: datetime
    ended_at: datetime | None
    outcome: str | None
    error: str | None


class LifecycleEvent(BaseModel, defer_build=True):
    """An event of the hash chain; `about` is the row that it is about, such as `delivery:17`."""

    seq: int
    at: datetime
    event: str
    about: str
    hash: str


class CustodyResult(BaseModel, defer_build=True):
    """Where a vCon went: versions, deliveries and events, each in their order.

    `amended_to`: vCons that were made of it. `erased_at`: it has a tombstone. `forgotten_at`: the
    salt is forgotten, so nothing here can be compared with a document. `next_delivery` and
    `next_event`: where the next page goes on; None if this is the last.
    """

    vcon_uuid: str
    versions: list[Version]
    amended_to: list[str]
    deliveries: list[Delivery]
    events: list[LifecycleEvent]
    erased_at: datetime | None
    forgotten_at: datetime | None
    next_delivery: int | None
    next_event: int | None


class LedgerCheckQuery(BaseModel, defer_build=True):
    """A checkpoint that was kept outside of Postgres, if there is one."""

    model_config = ConfigDict(extra="forbid")

    seq: int | None = Field(None, ge=1, le=LAST_ROW)
    hash: Hash | None = None

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.seq is None) != (self.hash is None):
            raise ValueError("give both number and hash of the checkpoint, or none")
        return self


class LedgerCheck(BaseModel, defer_build=True):
    """What a check of the whole ledger has found; `findings` begin with the first row."""

    intact: bool
    events: int
    head: str
    deliveries: int
    under_way: int
    versions: int
    checkpoints: int
    signed: int
    findings: list[str]


class LedgerCheckpoint(BaseModel, defer_build=True):
    """How many events there were, and the hash of the last.

    `statement`: the same, signed by the key named `key`; None if there is none.
    """

    seq: int
    hash: str
    at: datetime
    key: str | None
    statement: str | None


class LedgerStatusQuery(BaseModel, defer_build=True):
    """How many of the last checkpoints are shown."""

    model_config = ConfigDict(extra="forbid")

    checkpoints: int = Field(10, ge=1, le=MOST_ROWS)


class LedgerStatus(BaseModel, defer_build=True):
    """How far the ledger is. `under_way`: deliveries without an outcome."""

    events: int
    head: str
    at: datetime | None
    under_way: int
    oldest_under_way: datetime | None
    checkpoints: list[LedgerCheckpoint]
