"""Whether everything moves, and if not, why: the answer of `status`."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.operator.replicas import Replica

MOST_CHAINS = 1000
MOST_CAUSES = 30
MOST_LISTS = 100
MINUTES = 60
"""Minutes of a series, the present one last."""

type Level = Literal["green", "yellow", "red"]
type Trend = Literal["idle", "steady", "draining", "growing", "paused", "disabled", "stuck"]


class StatusQuery(BaseModel, defer_build=True):
    """Which chains are shown: all, or one."""

    model_config = ConfigDict(extra="forbid")

    chain: str | None = Field(None, min_length=1, max_length=512)
    series: bool = True
    """With numbers for each minute."""


class Cause(BaseModel, defer_build=True):
    """One thing that is not well: what it is, the likely reason, and what to do."""

    level: Literal["yellow", "red"]
    code: str
    """A fixed name of the rule, for programs."""
    subject: str = ""
    """The chain, list, storage or replica that it is about."""
    text: str
    command: str
    """The command to run, or the page to read."""


class Series(BaseModel, defer_build=True):
    """One number a minute, oldest first; what came in is None where that is not known."""

    came_in: list[int | None] = Field(default_factory=list)
    ended: list[int] = Field(default_factory=list)
    failed: list[int] = Field(default_factory=list)


class Flow(BaseModel, defer_build=True):
    """How a chain, or all of them, moves. Rates are those of the last `window_seconds`."""

    in_per_minute: float | None = None
    """None while it is not known: no sample of the lists is old enough."""
    out_per_minute: float = 0.0
    waiting: int = 0
    """In the lists, vCons that wait for a process of their own included."""
    delayed: int = 0
    """Waiting for another attempt."""
    in_flight: int = 0
    ended: int = 0
    """Runs that ended in the last hour."""
    failed: int = 0
    """Of them, those that left a dead letter."""
    retried: int = 0
    """Attempts of the last hour that failed and were, or will be, repeated."""
    p50_seconds: float | None = None
    """Of the attempts of the last hour; None without any."""
    p95_seconds: float | None = None
    empty_in_seconds: float | None = None
    """When the backlog will be worked off at this rate; None if it does not shrink."""
    series: Series = Field(default_factory=Series)


class ChainFlow(Flow):
    """One chain."""

    name: str
    enabled: bool = True
    broken: str = ""
    """Why it is disabled, though enabled in the file: the first problem of its plugins."""
    trend: Trend = "idle"
    paused_until: datetime | None = None
    """None also for a pause without an end; see `trend`."""
    pause_reason: str = ""
    oldest_seconds: float | None = None
    """About how long the oldest vCon has waited in the lists; None if none waits."""
    oldest_at_least: bool = False
    """It has waited for longer than that, or that is all that is known."""


class ListCount(BaseModel, defer_build=True):
    """The length of one list."""

    name: str
    count: int


class RedisStatus(BaseModel, defer_build=True):
    """Redis as it is now."""

    reachable: bool = True
    error: str = ""
    version: str = ""
    used_bytes: int = 0
    most_bytes: int = 0
    """`maxmemory`; 0 is without a limit."""
    has_json: bool = True
    warnings: list[str] = Field(default_factory=list)
    """Settings by which it may lose vCons, and writes to its disk that failed."""
    unusable: dict[str, str] = Field(default_factory=dict)
    """Keys of another type: name and error."""


class PostgresStatus(BaseModel, defer_build=True):
    """Postgres as the replicas see it."""

    error: str = ""
    history_waiting: int = 0
    """Finished runs that are not in Postgres yet."""
    history_limit: int = 0
    """So many may wait; further ones are dropped."""


class ErasureCounts(BaseModel, defer_build=True):
    """Erasures that have not ended. `overdue`: open ones, past the time that the law gives."""

    open: int = 0
    held: int = 0
    overdue: int = 0


class LawStatus(BaseModel, defer_build=True):
    """What waits for a decision under the law. `erasures`: None while Postgres does not answer."""

    withheld: int = 0
    """vCons at a step that their law does not allow."""
    erasures: ErasureCounts | None = None


class Status(BaseModel, defer_build=True):
    """The whole answer."""

    at: datetime
    level: Level
    causes: list[Cause] = Field(default_factory=list)
    window_seconds: float = 0.0
    chains: list[ChainFlow] = Field(default_factory=list)
    total: Flow = Field(default_factory=Flow)
    slots: int = 0
    """vCons that all workers together run at once."""
    workers: int = 0
    replicas: list[Replica] = Field(default_factory=list)
    dead_letters: int = 0
    dead_letter_lists: list[ListCount] = Field(default_factory=list)
    """The longest first, without empty ones."""
    law: LawStatus = Field(default_factory=LawStatus)
    redis: RedisStatus = Field(default_factory=RedisStatus)
    postgres: PostgresStatus = Field(default_factory=PostgresStatus)
    disk_free_share: float | None = None
    """Of the disk of the process that answers."""
