"""The settings of worker processes: how they are watched, and what replaces them."""

from pydantic import BaseModel, Field


class WorkerSettings(BaseModel):
    """Bounds on what one vCon can do to the others of its process."""

    suspect_workers: int = Field(
        3,
        ge=1,
        description="Most processes, beside the workers, for vCons that may have killed a worker.",
    )
    max_abandoned_calls: int = Field(
        100,
        ge=1,
        description="Plugin calls that run on after their time; at so many the worker is replaced.",
    )
    suspect_wait: float = Field(
        30.0,
        gt=0,
        description="Seconds such a vCon waits for a process of its own until there is one more.",
    )
