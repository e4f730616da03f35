"""The one place that is asked before a link, a storage, a tracer or egress lists get a vCon.

A step with `requires` gets the vCon only if the law allows its purpose: the vCon is read as it is
now, and evaluated again at each try, so an expiry or a revocation in the middle of a chain counts
at the next step. A refusal is `Withheld`, which ends the run for now.

Callers ask where nothing of the step has begun: after the wait for a destination, before the mark
of a step that must not be repeated, and on the event loop. They need not ask for a step without
`requires` in a chain without `custody`.
"""

from typing import Protocol

from pipeline.runs.parking import Parked
from pipeline.runs.run_state import RunState
from pipeline.runs.withholding import GatedKind, Withheld
from pipeline.withheld.evaluating import Evaluation, RecordsAwayError

RECORDS_AWAY = "waits for recorded bases in Postgres, which does not answer"
RECORDS_PAUSE = 5.0
"""Seconds until a step is tried again while Postgres is away."""


class Gate(Protocol):
    """Evaluates the law of a run's vCon."""

    async def refusal(self, live: RunState, purpose: str) -> Withheld | None:
        """Why the run's vCon may not be used for this purpose now; None if it may.

        Raises:
            LookupError: Redis has no such vCon.
            Parked: what was recorded about it cannot be read now.
            UnavailableError: Redis cannot be reached.
        """
        ...


class LawGate:
    """Evaluates the vCon as it is in Redis, or as the run has it in memory."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._evaluation = evaluation

    async def refusal(self, live: RunState, purpose: str) -> Withheld | None:
        """See `Gate`."""
        try:
            found = await self._evaluation.decision(
                live.progress.vcon, purpose, live.memory.unwritten
            )
        except RecordsAwayError as error:
            raise Parked(RECORDS_AWAY, RECORDS_PAUSE) from error
        return None if found.allowed else Withheld(found.error or "", found.place, purpose)


class Admission:
    """Admits steps of runs, or withholds the run."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def ask(self, live: RunState, kind: GatedKind, name: str, requires: str | None) -> None:
        """Return if the step may have the vCon now.

        Raises:
            Withheld: the law does not allow it.
            LookupError, Parked, UnavailableError: as `Gate.refusal`.
        """
        if requires is not None and (refused := await self._gate.refusal(live, requires)):
            raise refused.of(kind, name)
