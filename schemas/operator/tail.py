"""Runs as they end."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from schemas.run import RunStatus

MOST_RUNS = 500


class TailQuery(BaseModel, defer_build=True):
    """Without `after` and `since` the last runs; else the first ones from there on."""

    model_config = ConfigDict(extra="forbid")

    chain: str | None = Field(None, max_length=512)
    failed: bool = False
    """Only runs that failed, those that only a storage failed included."""
    since: datetime | None = None
    """None that ended before it; without a zone in UTC."""
    after: str | None = Field(None, max_length=100)
    """The `cursor` of the answer before."""
    limit: int = Field(50, ge=1, le=MOST_RUNS)


class EndedRun(BaseModel, defer_build=True):
    """A run that has ended; `seconds` is the time of its steps."""

    at: datetime
    run: str
    chain: str
    vcon: str
    status: RunStatus
    seconds: float
    attempts: int
    error: str | None


class Tail(BaseModel, defer_build=True):
    """In the order of their ends. `more`: the next answer has some already.

    Else `cursor` is some seconds before the last end, since a run may be recorded after one that
    ended later: the next answer repeats runs.
    """

    runs: list[EndedRun]
    cursor: str
    more: bool
