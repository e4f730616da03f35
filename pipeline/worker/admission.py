"""The one place that is asked before a link, a storage, a tracer or egress lists get a vCon.

A step with `requires` gets the vCon only if the law allows its purpose: the vCon is read as it is
now, and evaluated again at each try, so an expiry or a revocation in the middle of a chain counts
at the next step. A refusal is `Withheld`, which ends the run for now.

Callers ask where nothing of the step has begun: after the wait for a destination, before the mark
of a step that must not be repeated, and on the event loop. They need not ask for a step without
`requires` in a chain without `custody`.
"""

import contextlib
from typing import Protocol

from pipeline.ledger.basis import NO_BASIS, Basis
from pipeline.redis_client.client import CommandRefused
from pipeline.runs.parking import Parked
from pipeline.runs.run_state import RunState
from pipeline.runs.withholding import GatedKind, Withheld
from pipeline.withheld.evaluating import Evaluation, RecordsAwayError

RECORDS_AWAY = "waits for recorded bases in Postgres, which does not answer"
RECORDS_PAUSE = 5.0
"""Seconds until a step is tried again while Postgres is away."""


class Gate(Protocol):
    """Evaluates the law of a run's vCon."""

    async def basis(self, live: RunState, purpose: str) -> Basis:
        """What allows to use the run's vCon for this purpose now.

        Raises:
            Withheld: nothing does.
            LookupError: Redis has no such vCon.
            Parked: what was recorded about it cannot be read now.
            UnavailableError: Redis cannot be reached.
        """
        ...


class LawGate:
    """Evaluates the vCon as it is in Redis, or as the run has it in memory."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._evaluation = evaluation

    async def basis(self, live: RunState, purpose: str) -> Basis:
        """See `Gate`."""
        try:
            found = await self._evaluation.decision(
                live.progress.vcon, purpose, live.memory.unwritten
            )
        except RecordsAwayError as error:
            raise Parked(RECORDS_AWAY, RECORDS_PAUSE) from error
        if not found.allowed:
            raise Withheld(found.error or "", found.place, purpose)
        return Basis(purpose, found.profile, found.place)


class Ledger(Protocol):
    """Records what runs of chains with `custody` give away."""

    async def begin(self, live: RunState, kind: str, name: str, basis: Basis) -> None:
        """Record that a step gets the run's vCon now.

        Raises:
            GoneError: the vCon is erased.
            Parked: it cannot be recorded now.
            LookupError, UnavailableError: as `Gate.basis`.
        """
        ...

    async def note_last(self, live: RunState) -> None:
        """Note the vCon with which a run ends; raises as `Gate.basis`."""
        ...


class NoLedger:
    """Records nothing."""

    async def begin(self, live: RunState, kind: str, name: str, basis: Basis) -> None:
        """Nothing."""

    async def note_last(self, live: RunState) -> None:
        """Nothing."""


NO_LEDGER = NoLedger()


class Admission:
    """Admits steps of runs, or withholds the run; the ledger has a delivery before its call."""

    def __init__(self, gate: Gate, ledger: Ledger = NO_LEDGER) -> None:
        self._gate = gate
        self._ledger = ledger

    async def ask(self, live: RunState, kind: GatedKind, name: str, requires: str | None) -> None:
        """Return if the step may have the vCon now.

        Raises:
            Withheld: the law does not allow it.
            GoneError: the vCon is erased.
            LookupError, Parked, UnavailableError: as `Gate.basis`.
        """
        basis = await self.basis(live, kind, name, requires)
        if live.chain.custody:
            await self._ledger.begin(live, kind, name, basis)

    async def basis(
        self, live: RunState, kind: GatedKind, name: str, requires: str | None
    ) -> Basis:
        """What allows it; raises as `ask`. Hooks, which are no deliveries, ask only this."""
        if requires is None:
            return NO_BASIS
        try:
            return await self._gate.basis(live, requires)
        except Withheld as refused:
            raise refused.of(kind, name) from None

    async def note_last(self, live: RunState) -> None:
        """Note the vCon with which a run of a chain with `custody` ends.

        Raises:
            UnavailableError: Redis cannot be reached.
        """
        with contextlib.suppress(LookupError, CommandRefused):  # another program removed it
            await self._ledger.note_last(live)
