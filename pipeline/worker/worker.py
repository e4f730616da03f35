"""The loop of a worker: claim, run, settle.

A worker claims only as many vCons as it can start at once, and blocks while its lists are empty.
Each claim becomes a task of `runs_in_progress.py`. What claims, leases and settlements guarantee is
at the head of `pipeline/runs/queues.py`.

Suspects. Of several vCons that were in flight when a worker died, any may have killed it. Suspect
workers claim them one at a time, so that the next death charges an attempt to the right one. After
`patience` seconds another suspect starts beside those that still run, so that one that hangs does
not stop the others.
"""

import asyncio
import contextlib
import logging
import time
from collections import ChainMap
from collections.abc import Iterable, Sequence
from typing import Any

from core.errors import UnavailableError
from pipeline.config.lists import claimed_lists
from pipeline.config.parser import Chain
from pipeline.live_config import Configuration
from pipeline.redis_client import keys
from pipeline.redis_client.client import CommandRefused, RedisConnection
from pipeline.redis_client.periodic import Once, every
from pipeline.runs.queues import Claim, Claims, Queues
from pipeline.runs.run_state import RunState, fresh_run
from pipeline.vcon.envelope import MOST_BYTES
from pipeline.worker.custody import NO_WORKER_CUSTODY, WorkerCustody
from pipeline.worker.law.opening import Opening
from pipeline.worker.list_watcher import ListWatcher
from pipeline.worker.run_settler import RunMeter, RunSettler
from pipeline.worker.runner import ChainRunner
from pipeline.worker.runs_in_progress import RunsInProgress
from pipeline.worker.slots.bytes_in_flight import BytesInFlight
from pipeline.worker.slots.claim_turns import ClaimTurns, NextClaim
from pipeline.worker.slots.limits import Concurrency, limits_of
from pipeline.worker.slots.pressure import LOOK_SECONDS, Pressure
from pipeline.worker.unclaimed import UNCLAIMED_SECONDS, UnclaimedRuns

log = logging.getLogger(__name__)

CLAIM_PAUSE = 1.0
"""Seconds after a claim that failed for another reason than an outage."""
IDLE_SECONDS = 5.0
"""Seconds until an idle worker claims again unasked: a dead worker may have left a retry."""
SUSPECTS_SECONDS = 1.0
"""The same for a suspect worker, which is not woken by suspects in the lists themselves."""
PAUSED_SECONDS = 0.5
"""The same while a chain with elements is paused, or this replica is drained: no event ends it."""
UNSURE_SECONDS = 0.3
"""The same while recovery has not approved this Redis."""
LINGER_SECONDS = 5.0
"""Seconds without a suspect after which a suspect worker ends."""
SUSPECTS_AT_ONCE = 16
"""Suspects that a suspect worker runs side by side at most."""


class Worker:
    """Runs the chains of one process."""

    _is_unsure = False
    _must_look = True
    """Whether the next step claims although the last claim has left no element to claim."""
    _chains: dict[str, Chain]

    def __init__(
        self,
        worker_id: str,
        configuration: Configuration,
        connection: RedisConnection,
        queues: Queues,
        runner: ChainRunner,
        meter: RunMeter,
        *,
        concurrency: Concurrency,
        room: BytesInFlight | None = None,
        patience: float | None = None,
        custody: WorkerCustody = NO_WORKER_CUSTODY,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """`concurrency`: the number of vCons at once. `room`: None without a bound on their bytes.

        `most_bytes`: of a vCon that is opened here.

        `patience` makes this a suspect worker, whose `run` ends when there are no suspects: the
        seconds after which it starts another suspect beside those that still run.
        """
        self._id = worker_id
        self._configuration = configuration
        self._connection, self._queues, self._runner = connection, queues, runner
        self._settler = RunSettler(worker_id, connection, queues, meter, custody)
        self._concurrency = concurrency
        self._patience = patience
        self._last_claim = self._idle_until = time.monotonic()
        self._skipped: set[str] = set()
        self._turns, self._pressure = ClaimTurns(), Pressure()
        self._freed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._logged = Once()
        self._watch = ListWatcher(connection)
        opening = Opening(connection, lambda: configuration.config.law, most_bytes)
        room = room or BytesInFlight(None, 0, connection)
        self._runs = self._runs_in_progress(runner, room, opening)
        known = ChainMap[int, Any](self._runs.tasks, self._settler.postponed)
        self._unclaimed = UnclaimedRuns(queues, worker_id, known)
        self.reconfigure()

    def _runs_in_progress(
        self, runner: ChainRunner, room: BytesInFlight, opening: Opening
    ) -> RunsInProgress:
        return RunsInProgress(
            self._id,
            self._connection,
            self._queues,
            runner,
            self._settler,
            room,
            opening,
            fresh=self._fresh_run,
            freed=self._slot_freed,
            ended=self._run_ended,
        )

    def reconfigure(self) -> None:
        """Adopt the current configuration; runs in progress keep the one they started with."""
        chains = self._configuration.config.enabled_chains
        self._chains = {name: chain for chain in chains for name in claimed_lists(chain)}
        self._outputs: dict[str, Sequence[str]] = {
            name: chain.egress_lists for name, chain in self._chains.items()
        }
        self._names = {name: chain.name for name, chain in self._chains.items()}
        self._turns.adopt(limits_of(self._concurrency, self._configuration))
        self._watch.watch(self._watched(self._chains))
        self._freed.set()  # without chains there was no slot

    async def run(self) -> None:
        """Claim and run until `stop`; then until all runs have ended or `release` is called.

        If this is cancelled, it cancels all runs and leaves their claims in flight for the rescue.
        """
        self._runs.owner = asyncio.current_task()
        self._runs.reports.start()
        beside = [
            asyncio.create_task(self._runs.cancellations.listen()),
            asyncio.create_task(every(UNCLAIMED_SECONDS, self._check_claims)),
            asyncio.create_task(every(LOOK_SECONDS, self._adapt)),
        ]
        try:
            await self._work()
            await self.idle()
        finally:
            self._runs.reports.stop()
            self._watch.close()
            self._runs.break_off()
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
            except Exception:  # claims that were made are in flight
                log.exception("claim failed")
                await asyncio.sleep(CLAIM_PAUSE)
                await self._give_back_unknown()
        self._watch.close()

    async def _give_back_unknown(self) -> None:
        with contextlib.suppress(CommandRefused):  # `_check_claims` repeats it
            await self._connection.insist(self._unclaimed.give_back)

    async def _wait_for_operator(self, error: CommandRefused) -> None:
        """Pause after a refused claim: a key that all claims need has another type."""
        if self._logged.first(str(error)):
            log.warning("claim refused", extra={"error": str(error), "worker": self._id})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(IDLE_SECONDS):
                await self._stopping.wait()

    async def idle(self) -> None:
        """Wait until no run is in progress."""
        await self._runs.idle()

    def stop(self) -> None:
        """End claiming."""
        self._stopping.set()
        self._freed.set()
        self._watch.wake()

    async def release(self) -> None:
        """Cancel the runs in progress and return their claims to the heads of their lists."""
        await self._runs.release()

    async def abandon(self, failed: RunState | None) -> None:
        """Settle a failed attempt, and return all other claims; their attempts do not count.

        Runs on the event loop of another thread: the process is about to end because the worker's
        own event loop is blocked.
        """
        self._stopping.set()
        if failed is not None:
            await self._settler.on_other_loop().settle(failed, "failed")
        held = await self._queues.held(self._id)
        for token in sorted(held, reverse=True):  # each is pushed to the head of its list
            if live := self._runs.live.get(token):
                await self._queues.give_back(self._id, live.claim, live.record("queued"))
            else:
                await self._queues.give_back_unknown(self._id, held[token], token)

    def _slot_freed(self) -> None:
        self._freed.set()
        self._watch.wake()

    def _run_ended(self, live: RunState | None) -> None:
        if live is None or live.is_delayed:  # the next claim returns when it is due
            self._must_look = True
        self._slot_freed()

    async def _step(self) -> None:
        following = self._next_claim()
        if following.want <= 0:
            await self._wait_for_slot()
        elif not self._is_due(following):
            await self._wait_for_element(following)
        elif not await self._claim(following):
            await self._wait_for_element(following)
            self._end_without_suspects()

    def _next_claim(self) -> NextClaim:
        runs = self._runs
        if self._patience is None:
            return self._turns.next(runs.working, runs.settling, runs.room.waiting_lists)
        return self._turns.all_in_turn(self._free_for_suspects())

    def _is_due(self, following: NextClaim) -> bool:
        """Whether a claim may find an element."""
        has_more = not following.usable.isdisjoint(self._turns.waiting)
        return has_more or self._must_look or self._watch.heard or self._patience is not None

    async def _claim(self, following: NextClaim) -> bool:
        """Claim and start runs; False if there was none."""
        self._watch.forget()
        self._must_look, lapses = False, self._runner.lapses
        for_suspects = self._patience is not None
        how: Any = {"chains": self._names, "suspects": for_suspects, "turns": following.turns}
        want, lists = following.want, following.lists
        claims = await self._queues.claim(self._id, want, lists, self._outputs, **how)
        self._note_skipped(claims)
        for claim in claims.claims:
            self._last_claim = time.monotonic()
            self._runs.start(claim, lapses)
        self._turns.claimed((claim.list_name for claim in claims.claims), claims.further)
        self._note_unsure(claims)
        at_most = IDLE_SECONDS if self._patience is None else SUSPECTS_SECONDS
        at_most = min(at_most, PAUSED_SECONDS if claims.paused else at_most)
        at_most = at_most if claims.retry_in is None else min(claims.retry_in, at_most)
        self._idle_until = time.monotonic() + at_most  # now, if more retries are due
        if claims.lease_lost or claims.unsure:
            self._must_look = True
            await asyncio.sleep(UNSURE_SECONDS if claims.unsure else 0.1)
            return True
        return bool(claims.claims)

    async def _wait_for_element(self, following: NextClaim) -> None:
        """Wait for an element in a list that has a turn, for a free slot, or for a retry."""
        full = {name for name in self._chains if name not in following.usable}
        self._watch.pause(self._watched(full | self._skipped))
        left = self._idle_until - time.monotonic()
        if left <= 0 or not await self._watch.wait(left):
            self._must_look = True

    def _watched(self, lists: Iterable[str]) -> list[str]:
        """The lists to watch for elements of these."""
        return [*lists] if self._patience is None else [*map(keys.suspects, lists)]

    async def _wait_for_slot(self) -> None:
        self._freed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                await self._freed.wait()

    def _end_without_suspects(self) -> None:
        idle = time.monotonic() - self._last_claim
        if self._patience is not None and not self._runs.tasks and idle >= LINGER_SECONDS:
            self.stop()

    def _note_skipped(self, claims: Claims) -> None:
        """Do not watch lists that claims skip: their elements would end each wait at once."""
        self._skipped = {*claims.closed, *claims.paused}
        for error in filter(self._logged.first, claims.aside):
            log.warning("vCon set aside", extra={"error": error, "worker": self._id})

    def _note_unsure(self, claims: Claims) -> None:
        if claims.unsure and not self._is_unsure:
            log.warning("no claims until Redis is recovered", extra={"worker": self._id})
        self._is_unsure = claims.unsure

    def _free_for_suspects(self) -> int:
        if not self._runs.tasks:
            return 1
        waited = time.monotonic() - self._last_claim >= (self._patience or 0)
        return int(waited and len(self._runs.tasks) < SUSPECTS_AT_ONCE)

    def _fresh_run(self, claim: Claim) -> RunState | None:
        if (chain := self._chains.get(claim.list_name)) is None:
            return None
        now = self._configuration
        return fresh_run(claim, chain, now.plugins, self._id, now.config.hash)

    async def _adapt(self) -> None:
        """Fit the sync runs at once to the load of the interpreter."""
        if not self._runs.tasks or "sync" not in self._turns.limits.pools:
            return
        if self._turns.adapt(self._runs.working, self._pressure.busy()):
            self._slot_freed()

    async def _check_claims(self) -> None:
        """Settle postponed runs, and return claims that this worker does not know."""
        if await self._settler.settle_postponed():
            self._must_look = True  # for their next attempts
            self._watch.wake()
        await self._unclaimed.check()
