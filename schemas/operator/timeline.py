"""Everything that is known of one vCon."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.run import Run
from schemas.uuids import Uuid

MOST_RUNS = 200
"""Runs of one vCon in an answer at most, the newest."""

State = Literal[
    "unknown",
    "erased",
    "running",
    "retrying",
    "locked",
    "paused",
    "queued",
    "failed",
    "withheld",
    "waiting for a reader",
    "finished",
    "idle",
]


class TimelineQuery(BaseModel, defer_build=True):
    """Which vCon."""

    model_config = ConfigDict(extra="forbid")

    vcon_uuid: Uuid


class Place(BaseModel, defer_build=True):
    """Where the vCon is now. Several may hold at once: each list has runs of its own."""

    kind: Literal[
        "in flight",
        "retry",
        "lock",
        "suspect",
        "list",
        "dead letter",
        "withheld",
        "egress list",
        "redis",
    ]
    name: str
    """The list; of `in flight` the worker, of `redis` the key."""
    chain: str | None = None
    run: str | None = None
    step: str | None = None
    attempt: int | None = None
    seconds: float | None = None
    """Of `in flight` since the step began, of `retry` until it is due, of a lease until its end;
    of `redis` until the document expires."""
    error: str | None = None
    cause: str | None = None
    paused: bool = False
    """Of `list`: the chain that reads it is paused."""


class Event(BaseModel, defer_build=True):
    """Something that happened, by time. A step's time is its start, computed from the run's."""

    at: datetime
    what: str
    """received, queued, started, link, storage, ended, forwarded, dead-lettered, or an operation
    of the audit."""
    run: str | None = None
    chain: str | None = None
    name: str | None = None
    outcome: str | None = None
    seconds: float | None = None
    attempt: int | None = None
    worker: str | None = None
    error: str | None = None
    by: str | None = None


class Timeline(BaseModel, defer_build=True):
    """One vCon: a sentence that says where it is, its places, runs and events."""

    vcon: str
    state: State
    summary: str
    brief: str
    """The summary with types in the place of errors, whose texts may quote a conversation."""
    command: str | None
    """The arguments of `entrypoint.py` that help now; None if nothing has to be done."""
    in_redis: bool
    received_at: datetime | None
    owner: str | None
    """The label of the partner that brought it in; None for the internal API or if unknown."""
    stored: list[str] = Field(default_factory=list)
    """Storages that a run has written it to."""
    places: list[Place]
    runs: list[Run]
    """Newest first."""
    events: list[Event]
    replaced_by: list[str] = Field(default_factory=list)
    """vCons that a link put in its place."""
    replaces: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    """What could not be read, for example the history while Postgres is away."""
