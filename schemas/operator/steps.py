"""Where the time goes (`slow`), and the servers that steps call (`destinations`)."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SlowQuery(BaseModel, defer_build=True):
    """Which minutes and which steps."""

    model_config = ConfigDict(extra="forbid")

    minutes: int = Field(60, ge=1, le=60)
    """So many minutes before the present one, which is counted as well."""
    chain: str | None = Field(None, min_length=1, max_length=512)
    limit: int = Field(50, ge=1, le=1000)


class StepTimes(BaseModel, defer_build=True):
    """A link or storage of a chain in that time."""

    chain: str
    kind: Literal["link", "storage"]
    name: str
    calls: int
    failed: int
    seconds: float
    """Of all calls together; calls that ran side by side count each."""
    share: float
    """Of the seconds of all steps, 0 to 1."""
    mean_seconds: float
    p50_seconds: float
    p95_seconds: float


class SlowSteps(BaseModel, defer_build=True):
    """The steps by share, the largest first."""

    minutes: int
    calls: int
    seconds: float
    more: int = 0
    """Steps beyond the limit."""
    steps: list[StepTimes] = Field(default_factory=list)


class DestinationsQuery(BaseModel, defer_build=True):
    """No parameters."""

    model_config = ConfigDict(extra="forbid")


class DestinationState(BaseModel, defer_build=True):
    """A destination of the configuration, as all replicas see it. Times are in seconds."""

    name: str
    state: Literal["closed", "open", "half-open", "no breaker", "unusable"]
    """Of the breaker: `half-open` lets one call try; `unusable`: a key has another type."""
    in_flight: int = 0
    max_in_flight: int | None = None
    requests_per_minute: int | None = None
    waiting: int = 0
    """Runs that have left their workers until it may be called."""
    next_in: float | None = None
    """Until the first of these is due."""
    open_for: float | None = None
    """Until a call may try."""
    failures: int = 0
    """In a row."""
    since: datetime | None = None
    """Of the last change of the breaker."""
    error: str | None = None
    """Of the last call that failed, whether it has answered since or not."""
    failed_at: datetime | None = None
    mean: float | None = None
    """How long a call takes."""
    steps: list[str]
    """The links and storages that call it."""


class Destinations(BaseModel, defer_build=True):
    """All destinations, in the order of the configuration."""

    destinations: list[DestinationState]


class CloseBreakerRequest(BaseModel, defer_build=True):
    """The destination that one run shall try at once."""

    model_config = ConfigDict(extra="forbid")

    destination: str = Field(min_length=1, max_length=100)


class BreakerClosed(BaseModel, defer_build=True):
    """`open_for`: the seconds that it would still have been open; None if it was closed."""

    destination: str
    open_for: float | None
    waiting: int
