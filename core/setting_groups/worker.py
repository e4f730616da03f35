"""The settings of worker processes."""

from pydantic import BaseModel, Field


class WorkerSettings(BaseModel, defer_build=True):
    """Limits on what one vCon can do to others of its process, and on worker processes."""

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
    postgres_password_fd: int | None = Field(
        None,
        ge=3,
        description="Where a worker reads the password of Postgres, if it needs it; the service "
        "sets it.",
    )
    replica_id: str = Field(
        "", description="The replica that a worker belongs to; the service sets it for its own."
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
