"""Running one attempt: take the next step from `plan`, do it, record the outcome, until the end."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, override

from core.errors import ConflictError, UnavailableError
from core.observability.tracing import Attributes, Spans, installed
from pipeline.destinations.gate import Call, DestinationGate
from pipeline.plugins.errors import describe
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.errors import counted
from pipeline.runs import plan
from pipeline.runs.call_scope import time_limit
from pipeline.runs.calls import Around, PluginCalls, plainly
from pipeline.runs.cancellation import is_cancelled
from pipeline.runs.effects.once import call_once, refuse_to_repeat
from pipeline.runs.lease import SLOW_STEP, Checkpoints, LeaseGuard, Lost
from pipeline.runs.marks import mark_of
from pipeline.runs.parking import Parked
from pipeline.runs.run_state import RunState, current_run, place_of
from pipeline.runs.withholding import Withheld
from pipeline.worker.admission import Admission
from pipeline.worker.hooks import RunHooks
from pipeline.worker.law.outgoing import NotSendableError, Outgoing
from pipeline.worker.link_runner import LinkSteps

log = logging.getLogger(__name__)

NOT_REPEATED = "UncertainStepError: "


class ChainRunner:
    """Runs attempts; one runner for a process, one call of `run` for an attempt."""

    def __init__(
        self,
        connection: RedisConnection,
        links: LinkSteps,
        calls: PluginCalls,
        checkpoints: Checkpoints,
        lease_guard: LeaseGuard,
        destinations: DestinationGate,
        admission: Admission,
    ) -> None:
        """`lease_guard` is asked before each step, `destinations` before calls of storages.

        `admission` is asked before storages and egress lists get the vCon.
        """
        self._destinations = destinations
        self._admission = admission
        self._connection = connection
        self._links = links
        self._calls = calls
        self._checkpoints = checkpoints
        self._lease_guard = lease_guard
        self._outgoing = Outgoing(connection, checkpoints)
        self.hooks = RunHooks(connection, calls, admission)

    @property
    def lapses(self) -> int:
        """How often the lease has lapsed so far."""
        return self._lease_guard.lapses

    async def run(self, live: RunState, lapses: int | None = None) -> plan.Stop:
        """Run an attempt to its end; waits while Redis is unavailable.

        `lapses`: its value before the run was claimed; None: the current value.

        Raises:
            Lost: this worker no longer holds the run.
        """
        live.lapses = self._lease_guard.lapses if lapses is None else lapses
        token = current_run.set(live)
        try:
            while (ending := await self._in_time(live)) is None:
                await self._connection.wait_until_reachable()
            return ending
        finally:
            current_run.reset(token)

    async def _in_time(self, live: RunState) -> plan.Stop | None:
        """The ending of the run; None if it must continue once Redis is available."""
        try:
            with counted() as failures:
                async with time_limit(live.chain.seconds):
                    return await self._run_moves(live)
        except TimeoutError:
            return None if failures.count else _out_of_time(live)
        except Parked as parked:
            return await self._parked(live, parked)
        except Withheld as refused:
            return await self._withheld(live, refused)
        except ConflictError as error:  # a plugin's write was refused
            raise Lost from error
        except UnavailableError:
            return None
        except Exception as error:  # the run must be settled in any case
            log.exception("run failed unexpectedly", extra={"run": live.claim.run_id})
            live.progress = plan.after_failure(live.progress, describe(error))
            return "failed"

    async def _parked(self, live: RunState, parked: Parked) -> plan.Stop | None:
        """End the attempt for now, or the run if its cancellation is requested."""
        try:
            if await self._cancelled_before_storages(live):
                return "cancelled"
        except UnavailableError:
            return None
        live.parked = parked
        return "parked"

    async def _withheld(self, live: RunState, refused: Withheld) -> plan.Stop | None:
        """End the run before a step that the law does not allow, or for its cancellation."""
        try:
            if await self._cancelled_before_storages(live):
                return "cancelled"
        except UnavailableError:
            return None
        live.withheld = refused
        live.progress = plan.after_refusal(live.progress, str(refused))
        return "withheld"

    async def _cancelled_before_storages(self, live: RunState) -> bool:
        if live.progress.saved or live.progress.refused:
            return False
        if not await is_cancelled(self._connection, live.claim.run_id):
            return False
        live.progress = plan.after_cancellation(live.progress)
        return True

    async def _before_moves(self, live: RunState) -> None:
        if live.plugins.hooks.before_processing and live.is_at_its_start:
            await self._checkpoints.make_way(live, only_through_lib=False)
            live.progress = await self.hooks.before(live)
        if live.untraced is not None:
            await self._links.trace_again(live)

    async def _run_moves(self, live: RunState) -> plan.Ending:
        await self._before_moves(live)
        while True:
            match plan.next_move(live.chain, live.progress):
                case plan.RunLink() if live.cancelled:
                    live.progress = plan.after_cancellation(live.progress)
                case plan.RunLink():
                    await self._lease_guard.confirm(live)
                    await self._links.run(live)
                case plan.Save() | plan.Settle("done") if await self._is_cancelled(live):
                    live.progress = plan.after_cancellation(live.progress)
                case plan.Settle(ending):
                    return await self._before_end(live, ending)
                case plan.Save(names):
                    await self._lease_guard.confirm(live)
                    await self._save(live, _next_of(live, names))

    async def _before_end(self, live: RunState, ending: plan.Ending) -> plan.Ending:
        """Ask whether the egress lists may get the vCon, if they will, and make what they get.

        Returns how the run ends. The ledger is told.
        """
        requires = None if live.chain.egress is None else live.chain.egress.requires
        if ending == "done" and (requires is not None or live.chain.custody):
            for name in live.chain.egress_lists:
                await self._admission.ask(live, "egress", name, requires)
        if live.chain.custody:
            await self._admission.note_last(live)
        if ending == "done" and live.chain.egress is not None:
            try:
                await self._outgoing.prepare(live)
            except NotSendableError as error:
                live.progress = plan.after_failure(live.progress, f"egress: {error}")
                _tell_egress(live, "failed")
                return "failed"
        if ending == "done":  # the script that ends the run does it, or its record is dropped
            _tell_egress(live, "ok")
        return ending

    async def _is_cancelled(self, live: RunState) -> bool:
        """Whether the run ends between its last link and its storages.

        Redis is read, since the message of an accepted cancellation may still be on its way. A
        cancellation after the first storage has begun has no effect.
        """
        if live.progress.saved or live.progress.refused or live.first_try:
            return False
        if live.memory.unwritten and live.chain.storages and not live.cancelled:
            await self._checkpoints.write(live)  # due now; the reply reports a cancellation
            return live.cancelled
        return live.cancelled or await is_cancelled(self._connection, live.claim.run_id)

    async def _save(self, live: RunState, names: tuple[str, ...]) -> None:
        if live.memory.unwritten:
            await self._checkpoints.write(live)
        storages = [live.plugins.storage(live.chain, name) for name in names]
        through_lib = all(storage.only_through_lib for storage in storages)
        await self._checkpoints.make_way(live, only_through_lib=through_lib)
        live.step_began = time.perf_counter()
        saved = await self._side_by_side(live, names)
        told = dict(zip(names, saved, strict=True))
        kept = frozenset(name for name, fine in told.items() if fine is True)
        refused = frozenset(name for name, fine in told.items() if fine is False)
        live.progress = plan.after_save(live.progress, kept, refused)
        if live.marks:
            await self._checkpoints.end(live)
        if parked := [fine for fine in saved if isinstance(fine, Parked)]:
            raise min(parked, key=lambda each: each.seconds)
        if withheld := [fine for fine in saved if isinstance(fine, Withheld)]:
            raise withheld[0]

    async def _side_by_side(
        self, live: RunState, names: tuple[str, ...]
    ) -> list[bool | Parked | Withheld]:
        if len(names) == 1:
            return [await self._save_one(live, names[0])]
        saving = [asyncio.create_task(self._save_one(live, name)) for name in names]
        try:
            done, slow = await asyncio.wait(saving, timeout=SLOW_STEP)
            if done and slow:  # a crash must not repeat the quick ones because of the slow ones
                await self._checkpoints.write(live)
            return await asyncio.gather(*saving)
        finally:
            for task in saving:
                task.cancel()

    async def _save_one(self, live: RunState, name: str) -> bool | Parked | Withheld:
        """Whether the storage has it; `Parked` if it has to wait, `Withheld` if it may not."""
        storage = live.plugins.storage(live.chain, name)
        first, live.first_try = live.first_try, None
        began = first.began if first else time.perf_counter()
        may_start, around = (lambda: self._lease_guard.confirm(live)), self._around(live, name)
        try:
            error = await self._calls.save(storage, live.progress.vcon, may_start, around, first)
        except Parked as parked:
            if not live.marks:
                return parked
            error = str(parked)
        except Withheld as refused:
            live.note("storage", name, "withheld", time.perf_counter() - began, str(refused))
            return refused
        if error is not None and live.marks:
            error = live.give_up(live.marks[0], error.removeprefix(NOT_REPEATED))
        seconds = time.perf_counter() - began
        live.note("storage", name, "ok" if error is None else "failed", seconds, error)
        if live.marks:
            live.done_once()
        await self._checkpoints.note_slow(live, seconds)
        return error is None

    def _around(self, live: RunState, name: str) -> Around:
        """What is asked before the calls of a storage: its destination, then the law."""
        spec = next(spec for spec in live.chain.storages if spec.name == name)
        around: Around = plainly
        if spec.requires is not None or live.chain.custody:
            around = self._admitted(live, name, spec.requires)
        if (to := spec.destination) is not None:
            around = self._at(Call(to, place_of(live), f"storage {name}"), around)
        if not live.plugins.storage(live.chain, name).is_once(live.chain):
            return around

        async def once(call: Callable[[], Awaitable[None]]) -> None:
            mark = mark_of("storage", name)
            try:
                await around(partial(call_once, self._checkpoints, live, mark, call))
            except Exception as error:
                refuse_to_repeat(live, error)
                raise

        return once

    def _at(self, to: Call, around: Around) -> Around:
        async def allowed(call: Callable[[], Awaitable[None]]) -> None:
            await self._destinations.call(to, partial(around, call))

        return allowed

    def _admitted(self, live: RunState, name: str, requires: str | None) -> Around:
        async def admitted(call: Callable[[], Awaitable[None]]) -> None:
            await self._admission.ask(live, "storage", name, requires)
            await call()

        return admitted


def _tell_egress(live: RunState, outcome: str) -> None:
    if live.ledger is not None:
        for name in live.chain.egress_lists:
            live.ledger.end("egress", name, outcome)


def _next_of(live: RunState, names: tuple[str, ...]) -> tuple[str, ...]:
    """The storages to be written now: those with marks follow the others, one at a time."""
    storages = [live.plugins.storage(live.chain, name) for name in names]
    marked = [each.name for each in storages if each.is_once(live.chain)]
    if not marked:
        return names
    return tuple(name for name in names if name not in marked) or (marked[0],)


def _out_of_time(live: RunState) -> plan.Ending:
    """The chain's time limit is over: the steps in progress and the attempt have failed."""
    reason = f"TimeoutError: the chain did not end within {live.chain.seconds:g} s"
    match plan.next_move(live.chain, live.progress):
        case plan.RunLink(index):
            live.note("link", live.chain.links[index].name, "failed", _since(live), reason)
        case plan.Save(names):
            noted = {step["name"] for step in live.steps if step["kind"] == "storage"}
            for name in names:
                if name not in noted:
                    live.note("storage", name, "failed", _since(live), reason)
        case plan.Settle():  # all steps are done
            pass
    live.progress = plan.after_failure(live.progress, reason)
    return "failed"


def _since(live: RunState) -> float:
    return time.perf_counter() - live.step_began


class TracedRunner(ChainRunner):
    """A span for each attempt at a run, linked with the span that queued the vCon."""

    spans: Spans

    @override
    async def run(self, live: RunState, lapses: int | None = None) -> plan.Stop:
        """The same, traced; `live.context` is what the readers of egress lists link with."""
        attributes: Attributes = {
            "vcon_id": live.claim.vcon_uuid,
            "vcon.uuid": live.claim.vcon_uuid,
            "chain_name": live.chain.name,
            "run_id": live.claim.run_id,
            "attempt": live.claim.attempt,
        }
        name = f"vcon_processing.{live.chain.name}"
        with self.spans.span(name, attributes, live.claim.context) as span:
            live.context = self.spans.context()
            ending = await super().run(live, lapses)
            span.say("outcome", ending)
            if ending in ("failed", "partial"):
                span.failed(ending)
            return ending


def chain_runner(*parts: Any) -> ChainRunner:
    """A runner made of these parts, traced if anything is."""
    if (spans := installed()) is None:
        return ChainRunner(*parts)
    runner = TracedRunner(*parts)
    runner.spans = spans
    return runner
