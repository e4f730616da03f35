"""Ending a run in Redis, also one of which nothing is known but that it could not go on.

A run ends in one of three steps. `settle` writes down how it ended; where a list has another type,
the same attempt is settled again later, and where one of the keys has that no run can be settled
without (`NEEDED`), the run stays in flight until the key is usable: no attempt is used up. Where
that is refused, too, or the run's task ended without it, `fail` counts an attempt, with as little
in the record as can be. Where even the dead-letter list is refused (its name is a key of another
type), the run comes back later: no link runs again by then, and it becomes a dead letter as soon as
the list takes it.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from core.errors import PatchcordError
from core.observability.logs import without_secrets
from pipeline.plugins.errors import describe
from pipeline.redis_client import own_keys
from pipeline.redis_client.client import CommandRefused, RedisConnection
from pipeline.redis_client.errors import WrongTypeError
from pipeline.runs import plan
from pipeline.runs.checkpoint import Lost
from pipeline.runs.preconditions import objection
from pipeline.runs.queues import Queues
from pipeline.runs.run_state import RunState
from pipeline.runs.settlement import settlement_of
from pipeline.worker.run_metrics import RETRIED, RunMeter
from schemas.run import RunStatus

log = logging.getLogger(__name__)

REFUSED_PAUSE = 30.0
"""Seconds until a run is tried again whose dead letter Redis has refused."""
NEEDED = ("pc:attempts:", "pc:inflight:", "pc:locks", "pc:later", "pc:run:")
"""Keys without which a run can be settled in no way; that one is unusable is no run's fault."""
ASIDE_SECONDS = 5.0
"""After which a run is settled again whose lists have another type; its attempt counts once."""
KEY_PAUSE = 0.1
"""Seconds before another try where the key was usable by the time that it was looked at."""
LOG_LEVELS: dict[plan.Ending, int] = {
    "done": logging.DEBUG,  # it is in the history; a line would cost as much as the run itself
    "halted": logging.INFO,
    "cancelled": logging.INFO,
    "partial": logging.WARNING,
    "failed": logging.WARNING,
}


class RunSettler:
    """Settles the runs of one worker."""

    def __init__(
        self, worker_id: str, connection: RedisConnection, queues: Queues, meter: RunMeter
    ) -> None:
        """Every method waits for Redis when that is away."""
        self._id = worker_id
        self._connection = connection
        self._queues = queues
        self._meter = meter
        self.postponed: dict[int, RunState] = {}
        """By token: runs whose tasks have ended, though Redis could not be told."""

    async def settle(self, live: RunState, ending: plan.Ending) -> bool:
        """End an attempt; False when this worker no longer held the run, and nothing happened."""
        while True:
            try:
                return await self._insist(lambda: self._settle(live, ending))
            except WrongTypeError as error:
                if (held := await self._set_aside(live, ending, error)) is not None:
                    return held
            except CommandRefused as error:
                return await self._give_up(live, error)
            await asyncio.sleep(ASIDE_SECONDS)

    async def _set_aside(
        self, live: RunState, ending: plan.Ending, error: WrongTypeError
    ) -> bool | None:
        """The same attempt later: by then the operator may have made the list usable.

        None where neither its list nor the delayed retries take it: it stays in flight.
        """
        if ending == "failed":
            is_queued = error.key == live.claim.list_name
            return None if is_queued else await self._give_up(live, error)
        log.warning("run set aside", extra={**run_fields(live), "error": str(error)})
        aside = self._id, live.claim, live.record("queued"), ASIDE_SECONDS
        try:
            return await self._insist(lambda: self._queues.set_aside(*aside))
        except CommandRefused as refusal:
            if isinstance(refusal, WrongTypeError) and refusal.key == live.claim.list_name:
                return None
            return await self._give_up(live, refusal)

    async def _give_up(self, live: RunState, error: Exception) -> bool:
        """It cannot be forwarded as configured: a dead letter."""
        log.error("run cannot be settled", exc_info=error, extra=run_fields(live))
        failed, reason = live.progress.error, f"cannot be settled: {without_secrets(str(error))}"
        live.start_over()
        live.progress = plan.after_failure(
            live.progress, f"{failed}; {reason}" if failed else reason
        )
        return await self._fail_for_good(live)

    async def fail(self, live: RunState, error: BaseException) -> bool:
        """Count an attempt that has ended without a settlement; False as with `settle`."""
        if isinstance(error, Lost) and not await self._is_held(live):
            return False
        log.error("attempt ended unexpectedly", exc_info=error, extra=run_fields(live))
        live.start_over()
        live.progress = plan.after_failure(live.progress, describe(error.__cause__ or error))
        try:
            return await self._insist(lambda: self._settle(live, "failed"))
        except CommandRefused:
            return await self._fail_for_good(live)

    def postpone(self, live: RunState) -> None:
        """Keep a run that could not be settled at all for `settle_postponed`."""
        self.postponed[live.claim.token] = live
        log.exception("attempt could not be settled", extra=run_fields(live))

    async def settle_postponed(self) -> bool:
        """Count the attempts of those runs; True if there were any."""
        runs = list(self.postponed.items())
        for token, live in runs:
            await self.fail(live, PatchcordError(live.progress.error))
            del self.postponed[token]
        return bool(runs)

    async def _is_held(self, live: RunState) -> bool:
        """A plugin may raise the error that says that a run was taken over."""
        held = await self._insist(lambda: self._queues.held(self._id))
        return live.claim.token in held

    async def _fail_for_good(self, live: RunState) -> bool:
        try:
            return await self._insist(lambda: self._finish(live, "failed"))
        except CommandRefused:
            log.exception("dead letter refused; tried again later", extra=run_fields(live))
            return await self._insist(lambda: self._retry(live, REFUSED_PAUSE, "failed"))

    async def _insist[T](self, operation: Callable[[], Awaitable[T]]) -> T:
        """Repeat while Redis is away, or a key has another type that no run can be settled without.

        Raises:
            CommandRefused: for any other error of Redis.
        """
        while True:
            try:
                return await self._connection.insist(operation)
            except WrongTypeError as error:
                if not error.key.startswith(NEEDED):
                    raise
                if not await own_keys.waited_for(self._connection, error.key):
                    await asyncio.sleep(KEY_PAUSE)

    async def _settle(self, live: RunState, ending: plan.Ending) -> bool:
        more = live.claim.attempt < live.chain.max_attempts and objection(live) is None
        if ending == "failed" and more:
            log.warning("attempt failed; will be repeated", extra=run_fields(live))
            jitter = random.random()  # noqa: S311 -- spreads retries
            pause = live.chain.retry_backoff.pause(live.claim.attempt, jitter)
            return await self._retry(live, pause)
        if log.isEnabledFor(level := LOG_LEVELS[ending]):
            about = {"status": ending, **run_fields(live)}
            if ending == "halted":
                about["link"] = live.chain.links[live.progress.links_done - 1].name
            log.log(level, "run ended", extra=about)
        return await self._finish(live, ending)

    async def _retry(self, live: RunState, seconds: float, status: RunStatus = "queued") -> bool:
        held = await self._queues.retry_later(self._id, live.claim, live.record(status), seconds)
        return self._counted(live, RETRIED, held=held)

    async def _finish(self, live: RunState, ending: plan.Ending) -> bool:
        held = await self._queues.finish(self._id, live.claim, settlement_of(live, ending))
        return self._counted(live, ending, held=held)

    def _counted(self, live: RunState, status: str, *, held: bool) -> bool:
        if held:
            self._meter.settled(live, status)
        return held


def run_fields(live: RunState) -> dict[str, object]:
    """Of which run a log line speaks, and what went wrong with it."""
    return {
        "run": live.claim.run_id,
        "chain": live.chain.name,
        "vcon": live.progress.vcon,
        "attempt": live.attempts,
        "error": live.progress.error,
    }
