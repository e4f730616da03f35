"""A recovery that an operator asks for."""

from pydantic import BaseModel, ConfigDict, Field


class RecoverParameters(BaseModel, defer_build=True):
    """`dry_run` only counts what would be done."""

    model_config = ConfigDict(extra="forbid")

    dry_run: bool = False


class RecoverResult(BaseModel, defer_build=True):
    """What was done, or would be; counts by kind."""

    dry_run: bool
    verdict: str
    """What the comparison of Redis with Postgres says."""
    generation: int
    counts: dict[str, int] = Field(default_factory=dict)
