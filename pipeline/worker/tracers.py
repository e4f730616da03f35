"""Calling tracers: before the first link of a run (index -1) and after each link."""

import logging
from typing import Any

from core.errors import ConflictError, UnavailableError
from pipeline.plugins.errors import describe, log_failure
from pipeline.plugins.loader import LoadedTracer
from pipeline.plugins.options import option
from pipeline.runs.calls import PluginCalls
from pipeline.runs.parking import Parked
from pipeline.runs.run_state import RunState, current_step
from pipeline.runs.withholding import Untraced, Withheld
from pipeline.worker.admission import Admission

log = logging.getLogger(__name__)


class Tracers:
    """Calls the tracers of a run's chain.

    A tracer's failure is logged. Only with its option `dlq_vcon_on_error` it fails the attempt, and
    its error is returned.

    A tracer that the law does not allow withholds the run, and so does not count as called: it is
    the first one to be called when the run goes on (`RunState.untraced`). After a link that has
    halted the run it is left out.
    """

    def __init__(self, calls: PluginCalls, admission: Admission) -> None:
        """Tracers are called like other plugins; `admission` is asked before each call."""
        self._calls = calls
        self._admission = admission

    async def before_links(self, run: RunState) -> str | None:
        """Call the tracers before the first link; the error that fails the attempt, or None."""
        return await self._trace(run, run.progress.vcon, run.progress.vcon, -1)

    async def after_link(self, run: RunState, index: int, vcon_in: str) -> str | None:
        """Call the tracers after a link; the error that fails the link, or None."""
        return await self._trace(run, vcon_in, run.progress.vcon, index)

    async def _trace(self, run: RunState, vcon_in: str, vcon_out: str, index: int) -> str | None:
        links = [link.name for link in run.chain.links]
        for tracer in self._due(run):
            if not await self._admitted(run, tracer, vcon_in, index):
                continue
            failure = await self._call(tracer, vcon_in, vcon_out, links, index)
            if run.ledger is not None:
                outcome = "ok" if failure is None else "failed"
                run.ledger.end("tracer", tracer.name, outcome, failure)
            if failure is not None and option(tracer.options, "dlq_vcon_on_error"):
                return f"tracer {tracer.name}: {failure}"
        run.untraced = None
        return None

    def _due(self, run: RunState) -> tuple[LoadedTracer, ...]:
        """The tracers to be called now: without those that an earlier attempt has called."""
        tracers = run.plugins.tracers_of(run.chain)
        names = [tracer.name for tracer in tracers]
        if run.untraced is None or run.untraced.tracer not in names:
            return tracers
        return tracers[names.index(run.untraced.tracer) :]

    async def _admitted(
        self, run: RunState, tracer: LoadedTracer, vcon_in: str, index: int
    ) -> bool:
        """Whether a tracer is called; False: left out, since the run is over."""
        requires = next(spec.requires for spec in run.chain.tracers if spec.name == tracer.name)
        if requires is None and not run.chain.custody:
            return True
        try:
            await self._admission.ask(run, "tracer", tracer.name, requires)
        except (Withheld, Parked, UnavailableError) as refused:
            if isinstance(refused, Withheld) and run.progress.ended == "halted":
                return False
            if index >= 0:
                run.untraced = Untraced(index, vcon_in, tracer.name)
            raise
        return True

    async def _call(
        self, tracer: LoadedTracer, vcon_in: str, vcon_out: str, links: list[str], index: int
    ) -> str | None:
        arguments: tuple[Any, ...] = (vcon_in, vcon_out, tracer.name, links, index)

        async def attempt() -> None:
            current_step.set(tracer)
            await self._calls.call(
                tracer.run,
                *arguments,
                tracer.fresh_options(),
                is_async=tracer.is_async,
                plugin={"tracer": tracer.name},
            )

        try:
            await self._calls.insist(attempt, retries=0)
        except ConflictError:
            raise
        except Exception as error:  # noqa: BLE001 -- a tracer may raise anything; the run goes on
            text = describe(error)
            log_failure(error, {"tracer": tracer.name})
            log.warning(
                "tracer failed", extra={"tracer": tracer.name, "vcon": vcon_out, "error": text}
            )
            return text
        return None
