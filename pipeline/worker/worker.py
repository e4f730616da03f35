"""Claim, run, settle: the loop that moves vCons through chains.

A worker claims only what it can start at once and blocks when there is nothing. Whatever it holds
stands in its in-flight hash in Redis; when it dies, any other worker's housekeeping gives that
back. Ending a run is one script that does nothing unless the run is still held.

Of several vCons that were in flight when a worker died, any may have killed it. Such suspects are
claimed by suspect workers alone, one at a time: only a vCon that was alone when its process died is
charged an attempt. A suspect that runs for longer than `patience` has not killed this process for
so long; the next one may start beside it then, so that one that hangs does not stop the others.
"""

import asyncio
import contextlib
import logging
import time
from collections import ChainMap
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson

from core.errors import UnavailableError
from pipeline.config.lists import claimed_lists
from pipeline.config.parser import Chain
from pipeline.live_config import Configuration
from pipeline.redis_client import keys
from pipeline.redis_client.client import CommandRefused, RedisConnection
from pipeline.redis_client.periodic import Once, every
from pipeline.runs import plan
from pipeline.runs.cancellation import Cancellations
from pipeline.runs.queues import Claim, Claims, Queues
from pipeline.runs.run_state import RunState, fresh_run, resume
from pipeline.runs.vcon_store import VconStore
from pipeline.vcon.envelope import critical_names, inside, named_in, unknown_to, unwelcome
from pipeline.worker.list_watcher import ListWatcher
from pipeline.worker.run_settler import RunMeter, RunSettler, run_fields
from pipeline.worker.runner import ChainRunner
from pipeline.worker.step_reports import StepReports
from pipeline.worker.unclaimed import ORPHANS_SECONDS, UnclaimedRuns

log = logging.getLogger(__name__)

CLAIMED_AT_ONCE = 16
"""vCons in one claim: those that wait equally long drift apart instead of ending in one go."""
CLAIM_PAUSE = 1.0
"""Seconds after a claim that failed for another reason than an outage."""
IDLE_SECONDS = 5.0
"""How long an idle worker trusts to be woken: a retry may have been left by one that died."""
SUSPECTS_SECONDS = 1.0
"""The same for a suspect worker: it is not woken for those that have not been moved aside."""
LINGER_SECONDS = 5.0
"""How long a suspect worker waits for another suspect before it ends."""
SUSPECTS_AT_ONCE = 16
"""How many suspects that go on and on one suspect worker holds at most."""


class Worker:
    """One process's share of the chains."""

    _releasing = False
    _task: asyncio.Task[Any] | None = None

    def __init__(
        self,
        worker_id: str,
        configuration: Configuration,
        connection: RedisConnection,
        queues: Queues,
        runner: ChainRunner,
        meter: RunMeter,
        *,
        concurrency: int,
        patience: float | None = None,
    ) -> None:
        """`concurrency`: vCons at once.

        `patience` makes this a suspect worker, which `run` ends when there are no suspects: it is
        the seconds after which it starts another suspect beside those that still run.
        """
        self._id = worker_id
        self._configuration = configuration
        self._connection = connection
        self._queues = queues
        self._runner = runner
        self._settler = RunSettler(worker_id, connection, queues, meter)
        self._concurrency = concurrency
        self._patience = patience
        self._last_claim = time.monotonic()
        self._running: dict[int, asyncio.Task[None]] = {}
        known = ChainMap[int, Any](self._running, self._settler.postponed)
        self._live: dict[int, RunState] = {}
        self._orphans = UnclaimedRuns(queues, worker_id, known)
        self._settling: set[int] = set()
        self._broken_off: list[RunState] = []
        self._freed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._chains: dict[str, Chain] = {}
        self._told = Once()
        self._watch = ListWatcher(connection)
        self._cancellations, self._reports = Cancellations(connection), StepReports(connection)
        self._turn = 0
        self.reconfigure()

    def reconfigure(self) -> None:
        """Go by the configuration that is in force now; what runs goes on as it started."""
        chains = self._configuration.config.enabled_chains
        self._chains = {name: chain for chain in chains for name in claimed_lists(chain)}
        self._outputs: dict[str, Sequence[str]] = {
            name: chain.egress_lists for name, chain in self._chains.items()
        }
        watched = self._chains if self._patience is None else map(keys.suspects, self._chains)
        self._watch.watch(list(watched))

    @property
    def _is_ending(self) -> bool:
        return self._task is not None and self._task.cancelling() > 0

    async def run(self) -> None:
        """Work until `stop`; then until what runs has ended or `release` is called.

        Cancelled, it breaks off what runs and leaves that in flight, to the rescue of dead workers.
        """
        self._task = asyncio.current_task()
        self._reports.start()
        beside = [
            asyncio.create_task(self._cancellations.listen()),
            asyncio.create_task(every(ORPHANS_SECONDS, self._look_at_claims)),
        ]
        try:
            await self._work()
            await self.idle()
        finally:
            self._reports.stop()
            self._watch.close()
            self._break_off()
            for task in beside:
                task.cancel()

    async def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._step()
            except UnavailableError:
                await self._connection.wait_until_reachable()
                await self._give_back_unknown()
            except CommandRefused as error:
                await self._wait_for_operator(error)
            except Exception:  # what it may have claimed stands in Redis
                log.exception("claim failed")
                await asyncio.sleep(CLAIM_PAUSE)
                await self._give_back_unknown()
        self._watch.close()

    async def _give_back_unknown(self) -> None:
        with contextlib.suppress(CommandRefused):  # they are looked at again, see `run`
            await self._connection.insist(self._orphans.give_back)

    async def _wait_for_operator(self, error: CommandRefused) -> None:
        """Redis refuses every claim: a key that all of them need has another type."""
        if self._told.first(str(error)):
            log.warning("claim refused", extra={"error": str(error), "worker": self._id})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(IDLE_SECONDS):
                await self._stopping.wait()

    async def idle(self) -> None:
        """Until nothing runs."""
        while self._running:
            await asyncio.wait(self._running.values())

    def stop(self) -> None:
        """Claim nothing more."""
        self._stopping.set()
        self._freed.set()
        self._watch.wake()

    async def release(self) -> None:
        """Break off what still runs and put it back to the heads of its lists."""
        await asyncio.gather(*self._break_off(), return_exceptions=True)
        # the last one claimed first: each goes to the head of its list
        for live in sorted(self._broken_off, key=lambda live: live.claim.token, reverse=True):
            try:
                await self._queues.give_back(self._id, live.claim, live.record("queued"))
            except CommandRefused as error:  # a key of another type; the others go back
                log.warning(
                    "run not returned to its list", extra={**run_fields(live), "error": str(error)}
                )

    def _break_off(self) -> list[asyncio.Task[None]]:
        """Cancel the tasks of all runs; their attempts do not count."""
        self._releasing = True
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        return tasks

    async def abandon(self, failed: RunState | None) -> None:
        """Settle an attempt that has failed, and give everything else back without blame.

        For a process that is about to end because its event loop stands still: this runs on the
        event loop of another thread.
        """
        self._stopping.set()
        if failed is not None:
            await self._settler.settle(failed, "failed")
        held = await self._queues.held(self._id)
        for token in sorted(held, reverse=True):  # each goes to the head of its list
            if live := self._live.get(token):
                await self._queues.give_back(self._id, live.claim, live.record("queued"))
            else:
                await self._queues.give_back_orphan(self._id, held[token], token)

    async def _step(self) -> None:
        if (free := self._free_slots()) <= 0:
            await self._wait_for_slot()
            return
        self._watch.forget()
        lists, lapses = self._rotated(), self._runner.lapses
        for_suspects = self._patience is not None
        claims = await self._queues.claim(
            self._id, free, lists, self._outputs, suspects=for_suspects
        )
        self._note_unusable(claims)
        for claim in claims.claims:
            self._start(claim, lapses)
        if claims.lease_lost:
            await asyncio.sleep(0.1)
        elif not claims.claims:
            at_most = IDLE_SECONDS if self._patience is None else SUSPECTS_SECONDS
            await self._watch.wait(min(claims.retry_in or IDLE_SECONDS, at_most))
            self._end_without_suspects()

    async def _wait_for_slot(self) -> None:
        self._freed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                await self._freed.wait()

    def _end_without_suspects(self) -> None:
        idle = time.monotonic() - self._last_claim
        if self._patience is not None and not self._running and idle >= LINGER_SECONDS:
            self.stop()

    def _note_unusable(self, claims: Claims) -> None:
        for_suspects = self._patience is not None
        self._watch.pause(map(keys.suspects, claims.closed) if for_suspects else claims.closed)
        for error in filter(self._told.first, claims.aside):
            log.warning("vCon set aside", extra={"error": error, "worker": self._id})

    def _free_slots(self) -> int:
        """How many may be claimed: a run whose end is only to be written needs no slot any more."""
        if self._patience is not None and self._running:
            waited = time.monotonic() - self._last_claim >= self._patience
            return int(waited and len(self._running) < SUSPECTS_AT_ONCE)
        if self._patience is not None:
            return 1
        working = len(self._running) - len(self._settling)
        most = 2 * self._concurrency - len(self._running)
        return min(self._concurrency - working, most, CLAIMED_AT_ONCE)

    def _rotated(self) -> list[str]:
        """The lists, beginning elsewhere each time, so that a busy one does not starve another."""
        lists = list(self._chains)
        self._turn = (self._turn + 1) % max(len(lists), 1)
        return lists[self._turn :] + lists[: self._turn]

    def _start(self, claim: Claim, lapses: int) -> None:
        self._last_claim = time.monotonic()
        task = asyncio.get_running_loop().create_task(self._work_on(claim, lapses))
        self._running[claim.token] = task
        task.add_done_callback(lambda _: self._ended(claim.token))

    def _ended(self, token: int) -> None:
        del self._running[token]
        self._live.pop(token, None)
        self._settling.discard(token)
        self._freed.set()
        self._watch.wake()  # it may have left a retry behind: ask when that is due

    async def _work_on(self, claim: Claim, lapses: int) -> None:
        if claim.list_name not in self._chains:  # the configuration has changed under the claim
            await self._queues.give_back_orphan(self._id, claim.vcon_uuid, claim.token)
            return
        live = self._live[claim.token] = self._fresh_run(claim)
        try:
            held = await self._attempt(live, lapses)
        except asyncio.CancelledError:
            self._broken_off.append(live)
            raise
        except BaseException:  # noqa: BLE001 -- the claim must not be forgotten, whatever it is
            self._settler.postpone(live)
            return
        if not held:
            log.warning("run taken over", extra=run_fields(live))

    async def _attempt(self, live: RunState, lapses: int) -> bool:
        """Run and settle; a run whose task ends in any other way has failed at this attempt.

        Only `release` cancels a run, and the end of the event loop, which cancels all tasks in any
        order: which plugin has ended it is not known. Where a plugin cancels a run alone, the
        attempt has failed.
        """
        try:
            return await self._run_and_settle(live, lapses)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and (self._releasing or self._is_ending):
                raise
            return await self._settler.fail(live, error)

    async def _run_and_settle(self, live: RunState, lapses: int) -> bool:
        resume(live)
        self._cancellations.enter(live)
        self._reports.enter(live)
        try:
            ending = await self._ending(live, lapses)
            self._settling.add(live.claim.token)
            self._freed.set()  # first, so that the next claim travels with this settlement
            return await self._settler.settle(live, ending)
        finally:
            self._cancellations.leave(live)
            self._reports.leave(live)

    async def _ending(self, live: RunState, lapses: int) -> plan.Ending:
        live.objection = _objection(live)
        if await self._found_critical(live):
            live.objection = _objection(live)
        if live.objection is not None:
            reason = live.objection + await self._queues.last_death(live.claim.run_id)
            live.progress = plan.after_failure(live.progress, reason)
            return "failed"
        return await self._runner.run(live, lapses)

    async def _found_critical(self, live: RunState) -> bool:
        """Read which extensions a signed vCon names as critical in its payload, as no script does.

        They are added to the claim. Waits for Redis.
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

    def _fresh_run(self, claim: Claim) -> RunState:
        now = self._configuration
        chain = self._chains[claim.list_name]
        return fresh_run(claim, chain, now.plugins, self._id, now.config.hash)

    async def _look_at_claims(self) -> None:
        """End what could not be settled, and give back what is held unknowingly."""
        if await self._settler.settle_postponed():
            self._watch.wake()  # for their next attempts
        await self._orphans.look()


def _objection(live: RunState) -> str | None:
    """Why the run must not begin, now or at a later attempt; None if it may."""
    claim, chain = live.claim, live.chain
    if claim.attempt > chain.max_attempts:
        if live.not_settled:
            return live.not_settled
        return f"the process running it died {claim.attempt - 1} times"
    if claim.envelope and not chain.allow_envelopes:
        return unwelcome(chain)
    if not claim.critical:
        return None
    return unknown_to(chain, named_in(claim.critical)) or None
