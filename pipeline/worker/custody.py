"""A worker's part in custody: what its runs tell Postgres.

`pipeline.worker.postgres_custody` does it; a worker without custody does not import it, nor the
drivers of Postgres.
"""

from typing import Protocol

from pipeline.custody.ended import NO_CUSTODY, Ended
from pipeline.runs import plan
from pipeline.runs.queues import Settlement
from pipeline.runs.run_state import RunState


class WorkerCustody(Protocol):
    """What the runs of a worker tell Postgres."""

    def on_other_loop(self) -> "WorkerCustody":
        """The same for another event loop."""
        ...

    async def begin(self, live: RunState) -> None:
        """Take the vCon of a claim that has no row into custody; without, if Postgres is away."""
        ...

    async def begun(self, live: RunState) -> bool:
        """Commit the marks of a run (`marks.py`); False if Postgres is away."""
        ...

    async def paused(self, live: RunState) -> None:
        """Note from where the next attempt goes on, if Postgres answers."""
        ...

    async def ended(self, live: RunState, ending: plan.Ending, end: Settlement) -> Ended | None:
        """Commit the end of a run; None if the claim is lost, and nothing was written.

        May be repeated.

        Raises:
            UnavailableError: Redis cannot be reached.
            CommandRefused: a key of the vCon has another type.
        """
        ...


class NoWorkerCustody:
    """Where Redis alone keeps vCons."""

    def on_other_loop(self) -> WorkerCustody:
        """The same."""
        return self

    async def begin(self, live: RunState) -> None:
        """Nothing is taken into custody."""

    async def begun(self, live: RunState) -> bool:
        """Redis has the marks."""
        return True

    async def paused(self, live: RunState) -> None:
        """Redis has the checkpoint."""

    async def ended(self, live: RunState, ending: plan.Ending, end: Settlement) -> Ended | None:
        """Nothing is committed; the script finds out whether the claim is held."""
        return NO_CUSTODY


NO_WORKER_CUSTODY = NoWorkerCustody()
