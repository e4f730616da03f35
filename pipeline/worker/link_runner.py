"""Running the links of a run.

The change from the event loop to a thread and back costs as much as a quick link. So a thread that
has run a sync link continues with the next one, as long as nothing in between needs the event loop:
the same vCon, no checkpoint, no retry, no tracer, no time limit of its own.
"""

import os
import time
from functools import partial
from typing import Any

from core.errors import ConflictError, UnavailableError
from pipeline.config.parser import LinkStep
from pipeline.destinations.gate import Call, DestinationGate
from pipeline.plugins.errors import describe, end_if_forked, log_failure
from pipeline.plugins.loader import LoadedLink, seconds_of
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.errors import Failures, counted
from pipeline.runs import call_scope, plan
from pipeline.runs.calls import PluginCalls
from pipeline.runs.lease import SLOW_STEP, Checkpoints, LeaseGuard
from pipeline.runs.run_state import RunState, current_step, is_abandoned, place_of
from pipeline.worker.tracers import Tracers

type Returned = str | plan.NotAUuid | None
"""A link's return value, made plain by `plan.returned_value`."""


class LinkSteps:
    """Runs the links of runs."""

    def __init__(
        self,
        connection: RedisConnection,
        calls: PluginCalls,
        checkpoints: Checkpoints,
        lease_guard: LeaseGuard,
        tracers: Tracers,
        destinations: DestinationGate,
    ) -> None:
        """`tracers` are called around the links of chains that have tracers.

        `destinations`: the gate before calls of links that have a destination.
        """
        self._destinations = destinations
        self._connection = connection
        self._calls = calls
        self._checkpoints = checkpoints
        self._lease_guard = lease_guard
        self._tracers = tracers

    async def run(self, live: RunState) -> None:
        """Run the next link, perhaps more; the outcome is in `live.progress` and `live.steps`.

        Raises:
            ConflictError: this worker no longer holds the run.
        """
        if live.progress.links_done == 0 and (objection := await self._before_links(live)):
            live.progress = plan.after_failure(live.progress, objection)
            return
        step, link = _next(live)
        live.step_began = time.perf_counter()
        try:
            await self._checkpoints.make_way(live, only_through_lib=link.only_through_lib)
            returned = await self._calls.insist(
                lambda: self._attempt(live, step, link), step.retries
            )
            if returned != live.progress.vcon and live.memory.unwritten:
                await self._checkpoints.write(live)  # before the run continues with another vCon
            after = plan.after_link(live.progress, returned)
            if after.vcon != live.progress.vcon:
                await self._checkpoints.own(after.vcon)
        except ConflictError:
            raise
        except Exception as error:  # noqa: BLE001 -- a plugin may raise anything
            log_failure(error, {"link": _next(live)[1].name})
            after = plan.after_failure(live.progress, describe(error))
        await self._finish(live, after)

    async def _attempt(self, live: RunState, step: LinkStep, link: LoadedLink) -> Returned:
        await self._lease_guard.confirm(live)
        with counted() as failures:
            returned: Returned = await self._allowed(live, step, link)
            if returned is None:
                await self._check_halt(live, failures)
        return returned

    async def _allowed(self, live: RunState, step: LinkStep, link: LoadedLink) -> Any:
        """Call the link when its destination allows it; raises `Parked` if it has to wait."""
        if step.destination is None:
            return await self._call(live, step, link)
        call = Call(step.destination, place_of(live), f"link {link.name}")
        return await self._destinations.call(call, partial(self._call, live, step, link))

    async def _call(self, live: RunState, step: LinkStep, link: LoadedLink) -> Any:
        plugin = {"link": link.name}
        if _plain(live, step, link):
            return await self._calls.call(
                self._run_here,
                live,
                plugin,
                is_async=False,
                timeout=seconds_of(step.timeout, link),
                began=lambda: live.step_began,
                plugin=plugin,
            )
        current_step.set(step)
        return await self._calls.call(
            _judged_async if link.is_async else _judged,
            link,
            live.progress.vcon,
            is_async=link.is_async,
            timeout=seconds_of(step.timeout, link),
            plugin=plugin,
        )

    def _run_here(self, live: RunState, plugin: dict[str, str]) -> Returned:
        """In a thread: run sync links until one needs the event loop; returns that one's result."""
        while True:
            _, link = _next(live)
            live.step_began = time.perf_counter()
            plugin["link"] = link.name
            call_scope.begin()
            returned = _judged(link, live.progress.vcon)
            seconds = time.perf_counter() - live.step_began
            simply_on = returned == live.progress.vcon and seconds < SLOW_STEP
            if is_abandoned() or not (simply_on and self._next_is_alike(live, link)):
                return returned
            live.note("link", link.name, "ok", seconds)
            live.progress = plan.after_link(live.progress, returned)

    def _next_is_alike(self, live: RunState, link: LoadedLink) -> bool:
        following = live.progress.links_done + 1
        if (
            following == len(live.chain.links)
            or live.cancelled
            or not self._lease_guard.is_sure(live)
        ):
            return False
        step = live.chain.links[following]
        other = live.plugins.link(step)
        return (
            _plain(live, step, other)
            and other.only_through_lib == link.only_through_lib
            and other.no_default_timeout == link.no_default_timeout
        )

    async def _check_halt(self, live: RunState, failures: Failures) -> None:
        """Refuse a falsy result if the link could not read the vCon: Redis failed, or has none."""
        vcon_uuid = live.progress.vcon
        if live.memory.unwritten:
            await self._checkpoints.write(live)
        exists = await self._connection.command("EXISTS", keys.vcon(vcon_uuid))
        if failures.count:
            raise UnavailableError("Redis failed while the link ran")
        if not exists:
            raise LookupError(f"there is no vCon {vcon_uuid} in Redis")

    async def _finish(self, live: RunState, after: plan.Progress) -> None:
        before, index = live.progress, live.progress.links_done
        seconds = time.perf_counter() - live.step_began
        live.progress = after
        name = live.chain.links[index].name
        live.note("link", name, plan.outcome(after), seconds, after.error)
        if after.ended != "failed" and live.chain.tracers:
            await self._trace(live, index, before)
        await self._checkpoints.note_slow(live, seconds)

    async def _trace(self, live: RunState, index: int, before: plan.Progress) -> None:
        """Call the tracers; if one fails the attempt, the link counts as failed and runs again."""
        await self._checkpoints.make_way(live, only_through_lib=False)
        if objection := await self._tracers.after_link(live, index, before.vcon):
            live.progress = plan.after_failure(before, objection)
            live.steps[-1].update(outcome="failed", error=objection)

    async def _before_links(self, live: RunState) -> str | None:
        if not live.chain.tracers:
            return None
        await self._checkpoints.make_way(live, only_through_lib=False)
        return await self._tracers.before_links(live)


def _next(live: RunState) -> tuple[LinkStep, LoadedLink]:
    step = live.chain.links[live.progress.links_done]
    return step, live.plugins.link(step)


def _judged(link: LoadedLink, vcon_uuid: str) -> Returned:
    process = os.getpid()
    returned = link.run(vcon_uuid, link.name, link.fresh_options())
    end_if_forked(process, {"link": link.name})  # before the next link could run twice
    return plan.returned_value(returned)


async def _judged_async(link: LoadedLink, vcon_uuid: str) -> Returned:
    return plan.returned_value(await link.run(vcon_uuid, link.name, link.fresh_options()))


def _plain(live: RunState, step: LinkStep, link: LoadedLink) -> bool:
    """Whether a link is sync and has nothing that needs the event loop.

    That is a timeout, retries, tracers or a destination.
    """
    beside = link.is_async or step.timeout is not None or step.retries or live.chain.tracers
    return not beside and step.destination is None
