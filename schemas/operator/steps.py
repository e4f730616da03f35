"""Where the time goes: the answer of `slow`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SlowQuery(BaseModel):
    """Which minutes and which steps."""

    model_config = ConfigDict(extra="forbid")

    minutes: int = Field(60, ge=1, le=60)
    """So many minutes before the present one, which is counted as well."""
    chain: str | None = Field(None, min_length=1, max_length=512)
    limit: int = Field(50, ge=1, le=1000)


class StepTimes(BaseModel):
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


class SlowSteps(BaseModel):
    """The steps by share, the largest first."""

    minutes: int
    calls: int
    seconds: float
    more: int = 0
    """Steps beyond the limit."""
    steps: list[StepTimes] = Field(default_factory=list)
