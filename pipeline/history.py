"""The long memory of runs, in Postgres: the blocking `RunHistory` behind awaitable calls."""

import logging
from collections.abc import Sequence
from typing import Any

from core.bounded_calls import BoundedCalls
from core.errors import InvalidError
from core.own_thread import in_own_thread
from core.run_history import RunHistory
from schemas.run import Run
from schemas.run_page import RunPage, RunQuery

log = logging.getLogger(__name__)


class RunArchive:
    """Writes and finds runs without blocking the event loop."""

    def __init__(self, history: RunHistory, calls: BoundedCalls) -> None:
        """`calls` carries what requests ask; what is written has a thread of its own."""
        self._history = history
        self._calls = calls

    async def find_run(self, run_id: str) -> Run | None:
        """The run as last recorded, or None.

        Raises:
            UnavailableError: when Postgres cannot be reached, or has too much to do.
        """
        return await self._calls(self._history.find_run, run_id)

    async def list_runs(self, query: RunQuery) -> RunPage:
        """Recorded runs, newest first.

        Raises:
            UnavailableError: when Postgres cannot be reached, or has too much to do.
        """
        return await self._calls(self._history.list_runs, query)

    async def prune(self, days: int) -> None:
        """Forget runs that are older.

        Raises:
            UnavailableError: when Postgres cannot be reached.
        """
        await in_own_thread(self._history.prune_runs, days)

    async def write_runs(self, runs: Sequence[dict[str, Any]]) -> None:
        """Record a batch. A run that no row can hold is left out with a warning.

        Raises:
            UnavailableError: when Postgres cannot be reached; nothing is written.
        """
        try:
            await in_own_thread(self._history.write_runs, runs)
        except InvalidError:
            for run in runs:
                await self._write_alone(run)

    async def _write_alone(self, run: dict[str, Any]) -> None:
        try:
            await in_own_thread(self._history.write_runs, [run])
        except InvalidError as error:
            log.warning(
                "run cannot be recorded", extra={"run": run.get("run_id"), "why": str(error)}
            )
