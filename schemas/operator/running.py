"""What runs now and what waits, and for what."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

MOST_RUNS = 500
"""Runs in flight, retries and locks in one answer at most, of each."""


class RunningQuery(BaseModel, defer_build=True):
    """`limit` is for each of the tables."""

    model_config = ConfigDict(extra="forbid")

    chain: str | None = Field(None, max_length=512)
    limit: int = Field(50, ge=1, le=MOST_RUNS)


class InFlight(BaseModel, defer_build=True):
    """A run that a worker holds. Times are in seconds."""

    vcon: str
    run: str
    chain: str
    list_name: str | None
    """None for a run that `RunChain` requested."""
    seconds: float | None
    """Since this attempt began; None in its first moments."""
    step: str | None
    kind: str | None
    step_seconds: float | None
    attempt: int
    worker: str | None


class Retry(BaseModel, defer_build=True):
    """A run whose next attempt is due in `due_in` seconds; below 0 it waits for a worker."""

    vcon: str
    run: str | None
    chain: str | None
    list_name: str
    due_in: float
    attempt: int
    """Attempts so far."""
    error: str | None


class Locked(BaseModel, defer_build=True):
    """Elements that wait until the run that holds their vCon has ended."""

    vcon: str
    held_by: str
    """The chain of the run that holds it."""
    waiting: int
    lists: list[str]


class StorageWait(BaseModel, defer_build=True):
    """vCons whose write to a storage failed for good; the service tries them again by itself."""

    storage: str
    count: int


class Running(BaseModel, defer_build=True):
    """The oldest first. The totals also count what the limit has left out."""

    at: datetime
    in_flight: list[InFlight]
    in_flight_total: int
    retries: list[Retry]
    retries_total: int
    locked: list[Locked]
    storages: list[StorageWait]
