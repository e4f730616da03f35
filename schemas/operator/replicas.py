"""The service and API processes that are running, as operators see them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_REPLICAS = 1000
"""Processes in one answer at most."""
MOST_WORKERS = 256
"""Worker ids of one process at most, both in Redis and in answers."""
MOST_TEXTS = 5
"""Notes and warnings of one process at most; the count of all notes is told beside them."""
MOST_BROKEN = 50
"""Broken chains of one process at most."""
LONGEST_TEXT = 300

type Text = Annotated[str, Field(max_length=LONGEST_TEXT)]


class ReplicaState(BaseModel, defer_build=True):
    """What a service or API process writes about itself into `pc:process:{id}`.

    Fields have defaults, because a process of another version may not write them.
    """

    model_config = ConfigDict(extra="ignore")

    id: str = Field(max_length=LONGEST_TEXT)
    """`host:pid:start`, the start in milliseconds since 1970."""
    kind: Literal["serve", "api"]
    host: Text = ""
    pid: int = Field(0, ge=0)
    started: datetime | None = None
    version: Text = ""
    commit: Text = ""
    """`VCON_SERVER_GIT_COMMIT`."""
    workers: list[Text] = Field(default_factory=list, max_length=MOST_WORKERS)
    """The ids of its worker processes, suspect workers included."""
    slots: int = Field(0, ge=0)
    """vCons that its workers run at once: workers times the slots of each."""
    config_hash: Text = ""
    notes_count: int = Field(0, ge=0)
    notes: list[Text] = Field(default_factory=list, max_length=MOST_TEXTS)
    """The first notes on its configuration."""
    broken: dict[Text, Text] = Field(default_factory=dict, max_length=MOST_BROKEN)
    """Why chains are disabled as broken (`on_broken`), by chain: the first problem of each."""
    actions: Text | None = None
    """The fingerprint of the published actions, as `actions --fingerprint` prints it."""
    joined: bool | None = None
    """Whether it is joined to the Plugboard; None for an API process."""
    token_expires_at: datetime | None = None
    postgres: Text | None = None
    """Why Postgres cannot be used; None if it can."""
    redis_warnings: list[Text] = Field(default_factory=list, max_length=MOST_TEXTS)
    stopping: bool = False


class HeldRun(BaseModel, defer_build=True):
    """A run that a worker of the process holds."""

    vcon: str
    run: str
    chain: str
    list_name: str
    worker: str
    since: datetime | None = None
    """The start of this attempt; None in its first moments."""
    step: str | None = None


class Drain(BaseModel, defer_build=True):
    """Why the workers of a process claim nothing; `until` is None without an end."""

    until: datetime | None = None
    by: str = ""
    reason: str = ""
    at: datetime | None = None


class Replica(ReplicaState):
    """A process with the age of its last sign of life, and what it holds."""

    age: float
    """Seconds since its last sign of life."""
    last_seen: datetime
    """When that was, by Redis' clock."""
    in_flight: int = 0
    held: list[HeldRun] = Field(default_factory=list)
    """Some of them if there are many, sorted by `since`."""
    drained: Drain | None = None


class ReplicasQuery(BaseModel, defer_build=True):
    """Which processes are shown, and how many runs of each."""

    model_config = ConfigDict(extra="forbid")

    replica: str | None = Field(None, min_length=1, max_length=LONGEST_TEXT)
    """Only those whose id or host begins so."""
    held: int = Field(20, ge=0, le=100)


class Replicas(BaseModel, defer_build=True):
    """The processes by host; `unreadable` counts entries that are no process's."""

    replicas: list[Replica]
    unreadable: int = 0
