"""Failures by cause, and replays of them, as operators see and ask for them."""

from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from schemas.dead_letter import Uncertain

LONGEST_NAME = 512
LONGEST_REASON = 500
MOST_LISTS = 20
"""Lists that a cause or a replay names; `list_count` counts all."""
MOST_REPLAYED = 1_000_000
CANARY = 10
RATE = 50.0
"""vCons in a second."""

type Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
type ReplayId = Annotated[str, Field(pattern="^[0-9a-f]{12}$")]
type ReplayState = Literal[
    "counted", "canary", "running", "done", "stopped", "canary failed", "failing again"
]


class FailuresQuery(BaseModel, defer_build=True):
    """Which causes are shown: all, those of one list or storage, or one cause."""

    model_config = ConfigDict(extra="forbid")

    list_name: Name | None = None
    """An ingress list, or a list of dead letters (`DLQ:...`)."""
    storage: Name | None = None
    cause: Name | None = None
    """A fingerprint or its first digits, or step and type as in `link tag: KeyError`."""
    limit: int = Field(100, ge=1, le=1000)


class RecordedCause(BaseModel, defer_build=True):
    """What Postgres has of a cause: it also counts failures that were replayed since."""

    first_seen: datetime
    count: int


class FailureCause(BaseModel, defer_build=True):
    """Dead letters with one cause, over all lists.

    The fingerprint `unknown` is for entries without an error, `other` for causes beyond those that
    a list keeps apart.
    """

    fingerprint: str
    step: str = ""
    type: str = ""
    message: str = ""
    """Without its values: `<n>`, `<uuid>`, `<address>`, `<url>`, `<path>` and `<text>`."""
    config_hash: str = ""
    chain: str = ""
    count: int
    lists: list[str] = Field(default_factory=list)
    list_count: int = 0
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    example: str | None = None
    """The vCon that failed last."""
    recorded: int | None = None
    """Failures so far, those replayed since included; None if Postgres has none, or is away."""


class Failures(BaseModel, defer_build=True):
    """The causes, the most frequent first; `more` are left out. `total`: entries of all lists."""

    causes: list[FailureCause]
    total: int
    more: int = 0
    problems: list[str] = Field(default_factory=list)
    """Lists that cannot be read, because another program has replaced one of their keys."""


class FailureQuery(BaseModel, defer_build=True):
    """One cause, and how many of its dead letters are shown."""

    model_config = ConfigDict(extra="forbid")

    cause: Name
    limit: int = Field(10, ge=1, le=100)


class FailedVcon(BaseModel, defer_build=True):
    """One dead letter with its error as it is."""

    vcon_uuid: str
    letters: str
    error: str | None = None
    chain: str | None = None
    run_id: str | None = None
    worker: str | None = None
    attempts: int | None = None
    at: datetime | None = None


class Failure(BaseModel, defer_build=True):
    """One cause with its newest dead letters."""

    cause: FailureCause
    examples: list[FailedVcon]


class ReplayOrder(BaseModel, defer_build=True):
    """Which dead letters are replayed, and how.

    `canary` vCons of each cause go first, with one attempt each; 0 is none.
    """

    model_config = ConfigDict(extra="forbid")

    cause: Name | None = None
    list_name: Name | None = None
    storage: Name | None = None
    since: datetime | None = None
    """Only those that failed from then on, in UTC without a zone; unknown causes have no time."""
    canary: int = Field(CANARY, ge=0, le=1000)
    rate: float = Field(RATE, ge=0.1, le=100_000)
    limit: int = Field(MOST_REPLAYED, ge=1, le=MOST_REPLAYED)
    uncertain: Uncertain | None = None
    """What is done with steps that may have happened; those dead letters stay without it."""
    dry_run: bool = False
    wait: bool = False
    """Answer when the replay has ended, not when it has begun."""

    @field_validator("since")
    @classmethod
    def _in_utc(cls, since: datetime | None) -> datetime | None:
        return since.replace(tzinfo=UTC) if since and since.tzinfo is None else since

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if self.list_name and self.storage:
            msg = "give list_name or storage, not both"
            raise ValueError(msg)
        if not (self.cause or self.list_name or self.storage):
            msg = "give a cause, a list_name or a storage"
            raise ValueError(msg)
        return self


class ReplayTarget(BaseModel, defer_build=True):
    """Dead letters of one list with one cause, counted before the replay began."""

    letters: str
    fingerprint: str
    count: int


class Replay(BaseModel, defer_build=True):
    """One replay, as it is or as it ended."""

    id: str
    state: ReplayState
    """`counted` after a dry run; `running` also means that it ended without a word, if `stale`."""
    stale: bool = False
    """It goes on, but has written no sign of life for a while: its process was killed."""
    cause: str | None = None
    list_name: str | None = None
    storage: str | None = None
    since: datetime | None = None
    canary: int = 0
    rate: float = RATE
    limit: int = MOST_REPLAYED
    uncertain: Uncertain | None = Field(None, exclude_if=lambda value: value is None)
    by: str = ""
    reason: str = ""
    started: datetime
    updated: datetime
    ended: datetime | None = None
    counted: int = 0
    """Dead letters that were selected when it began."""
    targets: list[ReplayTarget] = Field(default_factory=list)
    """The first of them by list and cause."""
    canary_ended: int = 0
    canary_failed: int = 0
    replayed: int = 0
    """vCons that were queued, the canary included."""
    left: int = 0
    """Dead letters that stay: in work, or in a list that no chain reads."""
    error: str | None = None
    """Why it stopped, and what to do."""


class ReplaysQuery(BaseModel, defer_build=True):
    """Which replays are shown: one, or the newest."""

    model_config = ConfigDict(extra="forbid")

    id: ReplayId | None = None
    limit: int = Field(20, ge=1, le=100)


class Replays(BaseModel, defer_build=True):
    """Replays, newest first."""

    replays: list[Replay]


class ReplayStop(BaseModel, defer_build=True):
    """Which replay is to stop."""

    model_config = ConfigDict(extra="forbid")

    id: ReplayId
