"""Running links: each in its place, and sync ones that follow each other in one go of a thread.

Going from the event loop to a thread and back costs as much as a quick link itself. So a thread
that has run one sync link goes on with the next, as long as the run just goes on: the same vCon,
nothing to wait for, nobody to tell.
"""

import os
import time
from typing import Any

from core.errors import ConflictError, UnavailableError
from pipeline.config.parser import LinkStep
from pipeline.plugins.errors import describe, end_if_forked, log_failure
from pipeline.plugins.loader import LoadedLink, seconds_of
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.errors import Failures, counted
from pipeline.runs import call_scope, plan
from pipeline.runs.calls import PluginCalls
from pipeline.runs.lease import SLOW_STEP, Checkpoints, LeaseGuard
from pipeline.runs.run_state import RunState, current_step, is_abandoned
from pipeline.worker.tracers import Tracers

type Returned = str | plan.NotAUuid | None
"""What a link returned, as a value that can be compared and shown without running its code."""


class LinkSteps:
    """Runs the links of runs."""

    def __init__(
        self,
        connection: RedisConnection,
        calls: PluginCalls,
        journal: Checkpoints,
        lease_guard: LeaseGuard,
        tracers: Tracers,
    ) -> None:
        """`tracers` are called for links of chains that have some."""
        self._connection = connection
        self._calls = calls
        self._journal = journal
        self._lease_guard = lease_guard
        self._tracers = tracers

    async def run(self, live: RunState) -> None:
        """Run the next link, perhaps more; `live.progress` says what came of it.

        Raises:
            ConflictError: when another worker has taken the run over.
        """
        if live.progress.links_done == 0 and (objection := await self._before_links(live)):
            live.progress = plan.after_failure(live.progress, objection)
            return
        step, link = _next(live)
        live.step_began = time.perf_counter()
        try:
            await self._journal.make_way(live, only_through_lib=link.only_through_lib)
            returned = await self._calls.insist(
                lambda: self._attempt(live, step, link), step.retries
            )
            if returned != live.progress.vcon and live.memory.unwritten:
                await self._journal.write(live)  # before another vCon takes its place
            after = plan.after_link(live.progress, returned)
            if after.vcon != live.progress.vcon:
                await self._journal.own(after.vcon)
        except ConflictError:
            raise
        except Exception as error:  # noqa: BLE001 -- whatever a plugin raises is the outcome of its step
            log_failure(error, {"link": _next(live)[1].name})
            after = plan.after_failure(live.progress, describe(error))
        await self._finish(live, after)

    async def _attempt(self, live: RunState, step: LinkStep, link: LoadedLink) -> Returned:
        await self._lease_guard.confirm(live)
        with counted() as failures:
            returned: Returned = await self._call(live, step, link)
            if returned is None:
                await self._check_halt(live, failures)
        return returned

    async def _call(self, live: RunState, step: LinkStep, link: LoadedLink) -> Any:
        plugin = {"link": link.name}
        if _plain(live, step, link):
            return await self._calls.call(
                *(self._run_here, live, plugin),
                is_async=False,
                timeout=seconds_of(step.timeout, link),
                began=lambda: live.step_began,
                plugin=plugin,
            )
        current_step.set(step)
        return await self._calls.call(
            _judged_async if link.is_async else _judged,
            *(link, live.progress.vcon),
            is_async=link.is_async,
            timeout=seconds_of(step.timeout, link),
            plugin=plugin,
        )

    def _run_here(self, live: RunState, plugin: dict[str, str]) -> Returned:
        """In a thread: run sync links until one must be judged; what that one returned."""
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
        """A falsy return is a halt only if there was a vCon to judge, and Redis to read it from."""
        vcon_uuid = live.progress.vcon
        if live.memory.unwritten:
            await self._journal.write(live)
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
            await self._tell(live, index, before)
        await self._journal.note_slow(live, seconds)

    async def _tell(self, live: RunState, index: int, before: plan.Progress) -> None:
        """Call the tracers; where one objects, the link has failed and will run again."""
        await self._journal.make_way(live, only_through_lib=False)
        if objection := await self._tracers.after_link(live, index, before.vcon):
            live.progress = plan.after_failure(before, objection)
            live.steps[-1].update(outcome="failed", error=objection)

    async def _before_links(self, live: RunState) -> str | None:
        if not live.chain.tracers:
            return None
        await self._journal.make_way(live, only_through_lib=False)
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
    """Sync, and nothing around it that needs the event loop."""
    beside = link.is_async or step.timeout is not None or step.retries or live.chain.tracers
    return not beside
