"""The answer of `stats`: which replicas are there since when, counts, and the last errors."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class StatsQuery(BaseModel, defer_build=True):
    """No arguments."""

    model_config = ConfigDict(extra="forbid")


class ReplicaAge(BaseModel, defer_build=True):
    """A replica, and the seconds since its last sign of life."""

    id: str
    kind: str
    version: str
    started: datetime | None
    age: float


class RequestCount(BaseModel, defer_build=True):
    """Requests of one action with one status, since the process that answers has started."""

    action: str
    status: str
    count: int


class RecentError(BaseModel, defer_build=True):
    """An error that the process that answers has logged; its text is in the log alone."""

    at: datetime
    logger: str
    event: str
    error: str | None


class Stats(BaseModel, defer_build=True):
    """Counts of runs are those of the last hour, of all replicas."""

    at: datetime
    replicas: list[ReplicaAge]
    waiting: int
    in_flight: int
    ended: int
    failed: int
    dead_letters: int
    requests: list[RequestCount] = Field(default_factory=list)
    errors: list[RecentError] = Field(default_factory=list)
