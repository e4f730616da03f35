"""Paused chains and drained replicas."""

from pydantic import BaseModel, ConfigDict, Field

from schemas.operator.replicas import LONGEST_TEXT, Drain, Replica

LONGEST_PAUSE = 366 * 86_400
"""Seconds of a pause that ends by itself, at most."""
LONGEST_WAIT = 3600
"""Seconds that one call waits for a replica to hold nothing, at most."""


class _Timed(BaseModel, defer_build=True):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    seconds: float | None = Field(None, alias="for", ge=1, le=LONGEST_PAUSE, allow_inf_nan=False)
    """Seconds until it ends by itself; without an end if it is left out."""


class PauseRequest(_Timed):
    """The chain to pause; one that is paused already gets the new end and reason."""

    chain: str = Field(min_length=1, max_length=LONGEST_TEXT)


class ResumeRequest(BaseModel, defer_build=True):
    """The chain to resume."""

    model_config = ConfigDict(extra="forbid")

    chain: str = Field(min_length=1, max_length=LONGEST_TEXT)


class DrainRequest(_Timed):
    """The replica to drain, by id, host, or a unique beginning of its id."""

    replica: str = Field(min_length=1, max_length=LONGEST_TEXT)
    wait: float = Field(0, ge=0, le=LONGEST_WAIT, allow_inf_nan=False)
    """Seconds to wait until it holds nothing."""


class UndrainRequest(BaseModel, defer_build=True):
    """The drained replica that shall claim again."""

    model_config = ConfigDict(extra="forbid")

    replica: str = Field(min_length=1, max_length=LONGEST_TEXT)


class PausesQuery(BaseModel, defer_build=True):
    """No parameters."""

    model_config = ConfigDict(extra="forbid")


class Pause(Drain):
    """A paused chain; `until` is None without an end."""

    chain: str
    configured: bool = True
    """Whether the configuration here has the chain."""


class Resumed(BaseModel, defer_build=True):
    """`before`: the pause that was ended; None if the chain was not paused."""

    chain: str
    before: Pause | None = None


class DrainedReplica(Drain):
    """A drained replica, whether it runs or has ended."""

    replica: str
    running: bool = True


class DrainResult(BaseModel, defer_build=True):
    """The drain, and the replica as it is now; None if it ended meanwhile."""

    drained: DrainedReplica
    replica: Replica | None = None
    holds_nothing: bool
    waited: bool = False


class Undrained(BaseModel, defer_build=True):
    """`before`: the drain that was ended; None if the replica was not drained."""

    replica: str
    before: DrainedReplica | None = None


class Pauses(BaseModel, defer_build=True):
    """All that are in force now."""

    paused: list[Pause]
    drained: list[DrainedReplica]
