"""One run: in answers, as the checkpoint in Redis, and as a row of the history."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field
from pydantic.json_schema import SkipJsonSchema

RunStatus = Literal[
    "queued", "running", "done", "halted", "partial", "failed", "cancelled", "withheld"
]
StepKind = Literal["link", "storage"]
StepOutcome = Literal["ok", "halted", "failed", "withheld"]

MARKED = 1_000_000_000
"""What a step that has begun and must not be repeated adds to its attempts (`parts/marked.lua`)."""

FINISHED: frozenset[str] = frozenset(
    {"done", "halted", "partial", "failed", "cancelled", "withheld"}
)


def attempts_made(attempts: int) -> int:
    """The attempts of a run that a version without marks has ended, and so counts with one."""
    return attempts % MARKED


class Step(BaseModel, defer_build=True):
    """The outcome of one link or storage."""

    name: str
    kind: StepKind
    outcome: StepOutcome
    seconds: float = Field(ge=0)
    error: str | None = None


class CurrentStep(BaseModel, defer_build=True):
    """The step that a worker executes; `since` is when it began."""

    name: str
    kind: StepKind
    since: datetime


class StepReport(BaseModel, defer_build=True):
    """The report of a worker about a run that it holds; `step` is None between steps."""

    worker: str
    attempts: int
    started_at: datetime
    step: CurrentStep | None = None


class Run(BaseModel, defer_build=True):
    """One pass of one vCon through one chain; `vcon_out` differs if a link has replaced it."""

    run_id: str
    chain: str
    vcon_in: str
    vcon_out: str
    status: RunStatus
    ingress_list: str | None = None
    attempts: Annotated[int, AfterValidator(attempts_made)] = 1
    steps: list[Step] = Field(default_factory=list)
    error: str | None = None
    worker: str | None = None
    config_hash: str = ""
    queued_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    recovered: SkipJsonSchema[bool] = Field(False, exclude_if=lambda value: not value)
    """Whether it was queued again because Redis had lost it; left out of answers if not."""
    step: CurrentStep | None = Field(None, exclude=True)
    """The current step; it is not stored with the run."""

    def under_way(self, report: StepReport | None) -> "Run":
        """The run with status `running` and the worker's report."""
        reported = {} if report is None else dict(report)
        return self.model_copy(update={"status": "running", **reported})

    @property
    def seconds(self) -> float:
        """Run time so far in seconds, 0 before it starts."""
        return sum(step.seconds for step in self.steps)

    def summary(self) -> dict[str, Any]:
        """The run in answers: JSON-ready, links and storages apart, with the total of seconds."""
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
