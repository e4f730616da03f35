"""Calling tracers: before the first link of a run (index -1) and after each link."""

import logging
from typing import Any

from core.errors import ConflictError
from pipeline.plugins.errors import describe, log_failure
from pipeline.plugins.loader import LoadedTracer
from pipeline.plugins.options import option
from pipeline.runs.calls import PluginCalls
from pipeline.runs.run_state import RunState, current_step

log = logging.getLogger(__name__)


class Tracers:
    """Calls the tracers of a run's chain.

    A tracer's failure is logged. Only with its option `dlq_vcon_on_error` it fails the attempt, and
    its error is returned.
    """

    def __init__(self, calls: PluginCalls) -> None:
        """Tracers are called like other plugins."""
        self._calls = calls

    async def before_links(self, run: RunState) -> str | None:
        """Call the tracers before the first link; the error that fails the attempt, or None."""
        return await self._trace(run, run.progress.vcon, run.progress.vcon, -1)

    async def after_link(self, run: RunState, index: int, vcon_in: str) -> str | None:
        """Call the tracers after a link; the error that fails the link, or None."""
        return await self._trace(run, vcon_in, run.progress.vcon, index)

    async def _trace(self, run: RunState, vcon_in: str, vcon_out: str, index: int) -> str | None:
        for tracer in run.plugins.tracers_of(run.chain):
            links = [link.name for link in run.chain.links]
            failure = await self._call(tracer, vcon_in, vcon_out, links, index)
            if failure is not None and option(tracer.options, "dlq_vcon_on_error"):
                return f"tracer {tracer.name}: {failure}"
        return None

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
