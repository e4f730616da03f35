"""The runs that a worker has in progress: a task for each claim, from its start to its end.

How a task ends:
- the run ends, and `RunSettler.settle` writes that;
- the attempt raises, or a plugin cancels the task: `RunSettler.fail` counts a failed attempt;
- even that fails: the run is postponed, and `Worker` settles it later;
- `break_off` cancels it because the worker stops: the claim goes back to its list;
- the event loop ends: the claim stays in flight, to be rescued after the lease.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import orjson

from pipeline.redis_client.client import CommandRefused, RedisConnection
from pipeline.runs import plan
from pipeline.runs.cancellation import Cancellations
from pipeline.runs.effects.resuming import resume
from pipeline.runs.marks import LOST
from pipeline.runs.queues import Claim, Queues
from pipeline.runs.run_state import RunState
from pipeline.runs.vcon_store import VconStore
from pipeline.vcon.envelope import critical_names, inside, named_in, unknown_to, unwelcome
from pipeline.worker.law.opening import Opening
from pipeline.worker.run_settler import RunSettler, run_fields
from pipeline.worker.runner import ChainRunner
from pipeline.worker.slots.bytes_in_flight import BytesInFlight
from pipeline.worker.step_reports import StepReports
from schemas.run import MARKED

log = logging.getLogger(__name__)


class RunsInProgress:
    """Runs attempts and settles them, each in a task."""

    def __init__(
        self,
        worker_id: str,
        connection: RedisConnection,
        queues: Queues,
        runner: ChainRunner,
        settler: RunSettler,
        room: BytesInFlight,
        opening: Opening,
        *,
        fresh: Callable[[Claim], RunState | None],
        freed: Callable[[], None],
        ended: Callable[[RunState | None], None],
    ) -> None:
        """`fresh`: the state of a claimed run before any step; None if no chain reads its list.

        `freed` is called when a run no longer needs its slot, `ended` when its task has ended, with
        its state if there was one.
        """
        self._id = worker_id
        self._connection, self._queues = connection, queues
        self._runner = runner
        self._settler, self._opening = settler, opening
        self._fresh, self._freed, self._on_end = fresh, freed, ended
        self.tasks: dict[int, asyncio.Task[None]] = {}
        """By token, as the others."""
        self.live: dict[int, RunState] = {}
        self._settling: set[int] = set()
        self.room = room
        self.working: Counter[str] = Counter()
        """By list: the runs that need a slot; one that is being settled needs none any more."""
        self.settling: Counter[str] = Counter()
        """By list: the others."""
        self._broken_off: list[RunState] = []
        self._releasing = False
        self.owner: asyncio.Task[None] | None = None
        """The task of the worker; when it is cancelled, the runs end, too."""
        self.cancellations = Cancellations(connection)
        self.reports = StepReports(connection, self.cancellations.live)

    def start(self, claim: Claim, lapses: int) -> None:
        """Begin a claimed run. `lapses`: those of the lease before the claim."""
        task = asyncio.get_running_loop().create_task(self._work_on(claim, lapses))
        self.tasks[claim.token] = task
        self.working[claim.list_name] += 1
        task.add_done_callback(lambda _: self._ended(claim))

    def _ended(self, claim: Claim) -> None:
        del self.tasks[claim.token]
        live = self.live.pop(claim.token, None)
        is_settling = claim.token in self._settling
        self._settling.discard(claim.token)
        (self.settling if is_settling else self.working)[claim.list_name] -= 1
        self._on_end(live)

    async def idle(self) -> None:
        """Wait until no run is in progress."""
        while self.tasks:
            await asyncio.wait(self.tasks.values())

    def break_off(self) -> list[asyncio.Task[None]]:
        """Cancel all runs; their attempts do not count."""
        self._releasing = True
        tasks = list(self.tasks.values())
        for task in tasks:
            task.cancel()
        return tasks

    async def release(self) -> None:
        """Cancel all runs and return their claims to the heads of their lists."""
        await asyncio.gather(*self.break_off(), return_exceptions=True)
        # the last claimed first, since each is pushed to the head of its list
        for live in sorted(self._broken_off, key=lambda live: live.claim.token, reverse=True):
            try:
                await self._queues.give_back(self._id, live.claim, live.record("queued"))
            except CommandRefused as error:  # a key has another type; the other claims are returned
                log.warning(
                    "run not returned to its list", extra={**run_fields(live), "error": str(error)}
                )

    async def _work_on(self, claim: Claim, lapses: int) -> None:
        if (live := self._fresh(claim)) is None:  # its list was removed during the claim
            await self._queues.give_back_unknown(self._id, claim.vcon_uuid, claim.token)
            return
        self.live[claim.token] = live
        try:
            held = await self._attempt(live, lapses)
        except asyncio.CancelledError:
            self._broken_off.append(live)
            raise
        except BaseException:  # noqa: BLE001 -- the claim must be settled in any case
            self._settler.postpone(live)
            return
        if not held:
            log.warning("run taken over", extra=run_fields(live))
        elif live.is_delayed or live.withheld is not None:
            return
        elif live.plugins.hooks.after_processing:
            await self._runner.hooks.after(live)

    async def _attempt(self, live: RunState, lapses: int) -> bool:
        """Run and settle; if the task ends in any other way, the attempt has failed.

        A cancellation by `break_off` or by the end of the event loop is passed on. A cancellation
        of this task alone comes from a plugin, and fails the attempt.
        """
        try:
            return await self._run_and_settle(live, lapses)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and self._is_ending:
                raise
            return await self._settler.fail(live, error)

    async def _run_and_settle(self, live: RunState, lapses: int) -> bool:
        if live.claim.journal or live.claim.attempt > MARKED:
            resume(live)
        await self._settler.custody.begin(live)
        self.cancellations.enter(live)
        self.reports.entered.set()
        try:
            await self.room.enter(live)
            ending = await self._ending(live, lapses)
            self._settles(live.claim)
            return await self._settler.settle(live, ending)
        finally:
            self.room.leave(live)
            self.cancellations.leave(live)

    def _settles(self, claim: Claim) -> None:
        """Free the slot before the settlement, so that the next claim is in its batch."""
        self._settling.add(claim.token)
        self.working[claim.list_name] -= 1
        self.settling[claim.list_name] += 1
        self._freed()

    async def _ending(self, live: RunState, lapses: int) -> plan.Stop:
        refusal = await self._opening.refusal(live) if live.chain.opens else None
        live.objection = refusal or _objection(live)
        if refusal is None and await self._found_critical(live):
            live.objection = _objection(live)
        if live.objection is not None:
            reason = live.objection
            if not live.marks:
                reason += await self._queues.last_death(live.claim.run_id)
            live.progress = plan.after_failure(live.progress, reason)
            return "failed"
        return await self._runner.run(live, lapses)

    async def _found_critical(self, live: RunState) -> bool:
        """Add the critical extensions in a signed payload to the claim; True if there are any.

        The scripts do not decode payloads. Waits while Redis is unavailable.
        """
        claim = live.claim
        if not claim.envelope or not live.chain.allow_envelopes:
            return False
        store = VconStore(self._connection)
        document = await self._connection.insist(lambda: store.get(claim.vcon_uuid))
        names = critical_names(inside(document or {}) or {})
        if names:
            known = [*named_in(claim.critical), *names]
            live.claim = replace(claim, critical=orjson.dumps(known).decode())
        return bool(names)

    @property
    def _is_ending(self) -> bool:
        return self._releasing or (self.owner is not None and self.owner.cancelling() > 0)


def _objection(live: RunState) -> str | None:
    """Why the run must not begin, now or at a later attempt; None if it may."""
    claim, chain = live.claim, live.chain
    if live.marks or live.refusal:
        return live.refusal or live.not_settled or LOST
    if claim.attempt > chain.max_attempts:
        if live.not_settled:
            return live.not_settled
        return f"the process running it died {claim.attempt - 1} times"
    if claim.envelope and not chain.allow_envelopes:
        return unwelcome(chain)
    if not claim.critical:
        return None
    return unknown_to(chain, named_in(claim.critical)) or None
