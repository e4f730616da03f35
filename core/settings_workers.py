"""The settings of worker processes: how they are watched, and what replaces them."""

from pydantic import BaseModel, Field


class WorkerSettings(BaseModel):
    """Bounds on what one vCon can do to the others of its process."""

    blocked_loop_warning: float = Field(
        5.0,
        gt=0,
        description="Seconds a worker's event loop stands still until that is reported.",
    )
    blocked_loop_limit: float = Field(
        60.0,
        gt=0,
        description="Seconds until that ends the attempt, where the step has no `timeout`.",
    )
    stalled_worker_limit: float | None = Field(
        None,
        gt=0,
        description="Seconds without any progress until a worker is killed; unset: LEASE_SECONDS.",
    )
    frozen_service_limit: float = Field(
        60.0,
        gt=0,
        description="Seconds a plugin may hold the service's interpreter until the process ends.",
    )
    progress_fd: int | None = Field(
        None, ge=3, description="Where a worker shows its progress; the service sets it."
    )
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
