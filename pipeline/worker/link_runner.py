"""Running the links of a run.

The change from the event loop to a thread and back costs as much as a quick link. So a thread that
has run a sync link continues with the next one, as long as nothing in between needs the event loop:
the same vCon, no checkpoint, no retry, no tracer, no time limit of its own. After the last link it
makes the first try at the chain's storage, if that is the only one and sync (`FirstTry`); further
tries, and the outcome, are the event loop's.

Async links that use `lib` only and follow each other share a task in the same way.
"""

import asyncio
import os
import time
from functools import partial
from typing import Any

from core.errors import ConflictError, UnavailableError
from pipeline.config.parser import LinkStep
from pipeline.destinations.gate import Call, DestinationGate
from pipeline.media import media
from pipeline.plugins.errors import contained, describe, end_if_forked, log_failure
from pipeline.plugins.loader import LoadedLink, LoadedStorage, seconds_of
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.errors import Failures, counted
from pipeline.runs import call_scope, marks, plan
from pipeline.runs.calls import PluginCalls
from pipeline.runs.effects.once import call_once, refuse_to_repeat
from pipeline.runs.lease import SLOW_STEP, Checkpoints, LeaseGuard
from pipeline.runs.run_state import (
    FirstTry,
    RunState,
    current_call,
    current_step,
    is_abandoned,
    place_of,
)
from pipeline.runs.withholding import Withheld
from pipeline.worker.admission import Admission
from pipeline.worker.hooks import RunHooks
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
        admission: Admission,
    ) -> None:
        """`tracers` are called around the links of chains that have tracers.

        `destinations`: the gate before calls of links that have a destination. `admission` is asked
        before a link gets the vCon.
        """
        self._destinations = destinations
        self._admission = admission
        self._connection = connection
        self._calls = calls
        self._checkpoints = checkpoints
        self._lease_guard = lease_guard
        self._media = media.installed(connection)
        self._tracers = tracers
        self._hooks = RunHooks(connection, calls, admission)

    async def run(self, live: RunState) -> None:
        """Run the next link, perhaps more; the outcome is in `live.progress` and `live.steps`.

        Raises:
            ConflictError: this worker no longer holds the run.
        """
        if live.progress.links_done == 0 and (objection := await self._before_links(live)):
            live.progress = plan.after_failure(live.progress, objection)
            return
        step, link = _next(live)
        failure: Exception | None = None
        live.step_began = time.perf_counter()
        try:
            await self._checkpoints.make_way(live, only_through_lib=link.only_through_lib)
            returned = await self._calls.insist(
                lambda: self._attempt(live, step, link), step.retries
            )
            if isinstance(returned, FirstTry):  # the links are done and noted
                live.first_try = returned if returned.counts else None
                return
            if returned != live.progress.vcon and live.memory.unwritten:
                await self._checkpoints.write(live)  # before the run continues with another vCon
            after = plan.after_link(live.progress, returned)
            if after.vcon != live.progress.vcon:
                await self._checkpoints.own(after.vcon)
        except Withheld as refused:
            seconds = time.perf_counter() - live.step_began
            live.note("link", link.name, "withheld", seconds, str(refused))
            raise
        except ConflictError:
            raise
        except Exception as error:  # noqa: BLE001 -- a plugin may raise anything
            log_failure(error, {"link": _next(live)[1].name})
            failure, after = error, plan.after_failure(live.progress, describe(error))
        await self._finish(live, after, failure)

    async def _attempt(
        self, live: RunState, step: LinkStep, link: LoadedLink
    ) -> Returned | FirstTry:
        await self._lease_guard.confirm(live)
        try:
            with counted() as failures:
                returned: Returned | FirstTry = await self._allowed(live, step, link)
                if returned is None:
                    await self._check_halt(live, failures)
        except Exception as error:
            refuse_to_repeat(live, error)
            raise
        return returned

    async def _allowed(self, live: RunState, step: LinkStep, link: LoadedLink) -> Any:
        """Call the link when its destination allows it; raises `Parked` if it has to wait."""
        if step.destination is None:
            return await self._call(live, step, link)
        call = Call(step.destination, place_of(live), f"link {link.name}")
        return await self._destinations.call(call, partial(self._call, live, step, link))

    async def _call(self, live: RunState, step: LinkStep, link: LoadedLink) -> Any:
        if _plain(live, step, link):
            return await self._call_here(live, step, link)
        if step.requires is not None or live.chain.custody:
            await self._admission.ask(live, "link", link.name, step.requires)
        current_step.set(step)
        call = partial(
            self._calls.call,
            _judged_async if link.is_async else _judged,
            link,
            live.progress.vcon,
            is_async=link.is_async,
            timeout=seconds_of(step.timeout, link),
            plugin={"link": link.name},
        )
        if not link.is_once(live.chain):
            return await call()
        mark = marks.mark_of("link", link.name, live.progress.links_done)
        return await call_once(self._checkpoints, live, mark, call)

    async def _call_here(self, live: RunState, step: LinkStep, link: LoadedLink) -> Any:
        plugin = {"link": link.name}
        try:
            return await self._calls.call(
                self._run_in_task if link.is_async else self._run_here,
                live,
                plugin,
                is_async=link.is_async,
                timeout=seconds_of(step.timeout, link),
                began=lambda: live.step_began,
                plugin=plugin,
            )
        except Exception as error:
            if live.progress.links_done < len(live.chain.links):
                raise
            return FirstTry(live.step_began, error)  # such as the time limit, in the storage

    def _run_here(self, live: RunState, plugin: dict[str, str]) -> Returned | FirstTry:
        """In a thread: run sync links until one needs the event loop; returns that one's result.

        Or the first try at the storage after the last one.
        """
        while True:
            _, link = _next(live)
            live.step_began = time.perf_counter()
            plugin["link"] = link.name
            call_scope.begin()
            returned = _judged(link, live.progress.vcon)
            seconds = time.perf_counter() - live.step_began
            simply_on = returned == live.progress.vcon and seconds < SLOW_STEP
            if is_abandoned() or not (simply_on and self._may_go_on(live)):
                return returned
            storage = self._storage_here(live, link)
            if storage is None and not _next_is_alike(live, link):
                return returned
            live.note("link", link.name, "ok", seconds)
            live.progress = plan.after_link(live.progress, returned)
            if storage is not None:
                return _try_here(live, storage, plugin)
            if not link.only_through_lib:
                live.memory.forget()  # it may have changed the vCon in Redis

    async def _run_in_task(self, live: RunState, plugin: dict[str, str]) -> Returned:
        """The same for async links, in a task; it runs no storage."""
        outer, task, call = call_scope.remaining(), asyncio.current_task(), current_call.get()
        outer += time.monotonic()
        process = os.getpid()
        while True:
            step, link = _next(live)
            live.step_began = time.perf_counter()
            plugin["link"] = link.name
            current_step.set(step)
            call_scope.begin()
            call_scope.limit_context(seconds_of(step.timeout, link), outer)
            returned = await _judged_async(link, live.progress.vcon)
            seconds = time.perf_counter() - live.step_began
            end_if_forked(process, plugin)
            simply_on = returned == live.progress.vcon and seconds < SLOW_STEP
            is_left = is_abandoned() or (call and call.is_left) or (task and task.cancelling())
            if is_left or not (simply_on and self._may_go_on(live) and _next_is_alike(live, link)):
                return returned
            live.note("link", link.name, "ok", seconds)
            live.progress = plan.after_link(live.progress, returned)

    def _may_go_on(self, live: RunState) -> bool:
        return not live.cancelled and self._lease_guard.is_sure(live)

    def _storage_here(self, live: RunState, link: LoadedLink) -> LoadedStorage | None:
        """The storage to try now; None if there is none, or it or the run needs the event loop."""
        if live.progress.links_done + 1 < len(live.chain.links):
            return None
        storage = _only_storage(live, link)
        if storage is None or live.progress.saved or live.memory.unwritten:
            return None
        if self._media.is_on and not storage.only_through_lib:
            return None  # `make_way` puts media back for it
        asked: list[tuple[str, str]] = [("TYPE", keys.cancel(live.claim.run_id))]
        if storage.only_through_lib:  # what it would read first
            asked.append(("JSON.GET", keys.vcon(live.progress.vcon)))
        replies = self._connection.commands_from_thread(*asked)
        if replies is None or replies[0] == "string" or is_abandoned():
            return None
        live.memory.in_use = storage.only_through_lib
        live.memory.forget()
        if replies[-1] is not None:
            live.memory.read(live.progress.vcon, replies[-1])  # has no effect unless in use
        return storage

    async def _check_halt(self, live: RunState, failures: Failures) -> None:
        """Refuse a falsy result if the link could not read the vCon: Redis failed, or has none."""
        vcon_uuid = live.progress.vcon
        if live.memory.unwritten:
            await self._checkpoints.write(live)
        exists = await self._connection.command("EXISTS", keys.vcon(vcon_uuid))
        if failures.count:
            raise UnavailableError("Redis failed while the link ran")
        if not exists:
            live.marks = ()
            raise LookupError(f"there is no vCon {vcon_uuid} in Redis")

    async def _finish(
        self, live: RunState, after: plan.Progress, failure: Exception | None
    ) -> None:
        before, index = live.progress, live.progress.links_done
        seconds = time.perf_counter() - live.step_began
        live.progress = after
        name = live.chain.links[index].name
        live.note("link", name, plan.outcome(after), seconds, after.error)
        if live.marks and after.ended is None:
            live.done_once()
            await self._checkpoints.end(live)  # before the run ends, if it is halted
        if live.plugins.hooks.after_link:
            await self._checkpoints.make_way(live, only_through_lib=False)
            told = failure or (after.error if after.ended == "failed" else None)
            await self._hooks.after_link(live, live.chain.links[index], before.vcon, told)
        if after.ended != "failed" and live.chain.tracers:
            await self._trace(live, index, before)
        await self._checkpoints.note_slow(live, seconds)

    async def _trace(self, live: RunState, index: int, before: plan.Progress) -> None:
        """Call the tracers; if one fails the attempt, the link counts as failed and runs again."""
        await self._checkpoints.make_way(live, only_through_lib=False)
        if objection := await self._tracers.after_link(live, index, before.vcon):
            if marks.is_once(live.steps[-1]):  # a further attempt would go on without the tracer
                live.objection = objection
                live.progress = plan.after_failure(live.progress, objection)
                return
            live.progress = plan.after_failure(before, objection)
            live.steps[-1].update(outcome="failed", error=objection)

    async def trace_again(self, live: RunState) -> None:
        """Call the tracers of the last link that were not called at an earlier attempt."""
        if (due := live.untraced) is None:
            return
        await self._checkpoints.make_way(live, only_through_lib=False)
        if objection := await self._tracers.after_link(live, due.index, due.vcon_in):
            live.progress = plan.after_failure(live.progress, objection)

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
    """Whether a link has no timeout, retries, tracers, hooks, destination or law, and no mark.

    Those need the event loop in between.

    Async ones that may use more than `lib` have a task, and so a context, of their own.
    """
    beside = bool(step.timeout is not None or step.retries or live.chain.tracers)
    beside = beside or step.destination is not None or link.is_once(live.chain)
    beside = bool(beside or live.plugins.hooks.after_link or live.chain.custody)
    beside = beside or step.requires is not None
    return not beside and (link.only_through_lib or not link.is_async)


def _next_is_alike(live: RunState, link: LoadedLink) -> bool:
    following = live.progress.links_done + 1
    if following == len(live.chain.links):
        return False
    step = live.chain.links[following]
    other = live.plugins.link(step)
    return (
        _plain(live, step, other)
        and other.is_async == link.is_async
        and other.only_through_lib == link.only_through_lib
        and other.no_default_timeout == link.no_default_timeout
    )


def _only_storage(live: RunState, link: LoadedLink) -> LoadedStorage | None:
    """The chain's storage, if it is the only one, and sync with the time limit of the link."""
    if len(live.chain.storages) != 1:
        return None
    spec = live.chain.storages[0]
    storage = live.plugins.storage(live.chain, spec.name)
    beside = storage.is_async or storage.timeout is not None or spec.destination is not None
    beside = beside or storage.is_once(live.chain) or live.chain.custody
    beside = beside or spec.requires is not None
    alike = storage.no_default_timeout == link.no_default_timeout
    return storage if alike and not beside else None


def _try_here(live: RunState, storage: LoadedStorage, plugin: dict[str, str]) -> FirstTry:
    live.step_began = began = time.perf_counter()
    plugin.clear()
    plugin["storage"] = storage.name
    call_scope.begin()
    call_scope.limit_context(storage.seconds)
    with counted() as failures:
        try:
            contained(storage.save, (live.progress.vcon, storage.fresh_options()), plugin)
        except Exception as error:  # noqa: BLE001 -- a plugin may raise anything
            return FirstTry(began, error, counts=not failures.count)
    return FirstTry(began)
