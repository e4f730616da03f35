"""One chain run as callers see it, as Redis journals it and as Postgres remembers it."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

RunStatus = Literal["queued", "running", "done", "halted", "partial", "failed", "cancelled"]
StepKind = Literal["link", "storage"]
StepOutcome = Literal["ok", "halted", "failed"]

FINISHED: frozenset[str] = frozenset({"done", "halted", "partial", "failed", "cancelled"})


class Step(BaseModel):
    """What one link or storage made of the vCon."""

    name: str
    kind: StepKind
    outcome: StepOutcome
    seconds: float = Field(ge=0)
    error: str | None = None


class CurrentStep(BaseModel):
    """The link or storages that a worker is at; `since` is when they began."""

    name: str
    kind: StepKind
    since: datetime


class StepReport(BaseModel):
    """What a worker says of a run that it holds; `step` is None between steps."""

    worker: str
    attempts: int
    started_at: datetime
    step: CurrentStep | None = None


class Run(BaseModel):
    """One vCon on its way through one chain; `vcon_out` differs if a link has replaced it."""

    run_id: str
    chain: str
    vcon_in: str
    vcon_out: str
    status: RunStatus
    ingress_list: str | None = None
    attempts: int = 1
    steps: list[Step] = Field(default_factory=list)
    error: str | None = None
    worker: str | None = None
    config_hash: str = ""
    queued_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    step: CurrentStep | None = Field(None, exclude=True)
    """What a worker is at; it is never written down with the run."""

    def under_way(self, report: StepReport | None) -> "Run":
        """The run as one that a worker holds."""
        told = {} if report is None else dict(report)
        return self.model_copy(update={"status": "running", **told})

    @property
    def seconds(self) -> float:
        """Run time so far in seconds, 0 before it starts."""
        return sum(step.seconds for step in self.steps)

    def summary(self) -> dict[str, Any]:
        """The run as actions answer it: JSON-ready, links and storages apart, seconds in all."""
        return {
            "run_id": self.run_id,
            "chain": self.chain,
            "vcon_uuid": self.vcon_out,
            "status": self.status,
            "links": self._steps("link"),
            "storages": self._steps("storage"),
            "seconds": round(self.seconds, 6),
            "attempts": self.attempts,
            "error": self.error,
            **(self._present() if self.status == "running" else {}),
        }

    def _present(self) -> dict[str, Any]:
        return {
            "started_at": self.started_at.isoformat() if self.started_at else None,
            "step": self.step.model_dump(mode="json") if self.step else None,
        }

    def _steps(self, kind: StepKind) -> list[dict[str, Any]]:
        return [step.model_dump(exclude={"kind"}) for step in self.steps if step.kind == kind]
