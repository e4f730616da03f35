"""Settling runs: writing the end of an attempt to Redis, also if some keys are unusable.

1. `settle` writes the ending. If one of the run's lists has another type, the attempt is set aside
   and settled again later. If a key has another type without which no run can be settled
   (`NEEDED`), the run stays in flight until the key is usable. Neither uses up an attempt.
2. If Redis refuses that, too, or the run's task ended without a settlement, `fail` counts a failed
   attempt with a minimal record.
3. If the dead-letter list itself is refused, the run returns after `REFUSED_PAUSE` seconds. Its
   links do not run again; it becomes a dead letter as soon as the list takes it.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from core.errors import PatchcordError
from core.observability.failure_cause import cause_of
from core.observability.logs import without_secrets
from core.observability.metrics import LAW_REFUSALS, LINKS, RUNS, STORAGES
from core.observability.storable_text import storable_json
from pipeline.custody.ended import NO_CUSTODY
from pipeline.plugins.errors import describe
from pipeline.redis_client import keys, own_keys
from pipeline.redis_client.client import CommandRefused, RedisConnection
from pipeline.redis_client.errors import WrongTypeError
from pipeline.runs import plan
from pipeline.runs.lease import Lost
from pipeline.runs.queues import Queues, Settlement, index_note
from pipeline.runs.run_state import RunState, current_run, place_of
from pipeline.worker.custody import WorkerCustody
from schemas.run import RunStatus

log = logging.getLogger(__name__)

PARKED = "parked"
"""The status, in metrics, of an attempt that ended because a step has to wait."""
RETRIED = "retried"
"""The status, in metrics, of an attempt that failed and will be repeated."""
REFUSED_PAUSE = 30.0
"""Seconds until a run is tried again whose dead letter Redis has refused."""
TWICE_SECONDS = 5.0
"""Seconds that a run waits in its worker before it is parked, if its vCon is in its list twice."""
NEEDED = ("pc:attempts:", "pc:inflight:", "pc:locks", "pc:later", "pc:run:")
"""Keys without which no run can be settled."""
ASIDE_SECONDS = 5.0
"""Seconds until a run whose lists have another type is settled again."""
KEY_PAUSE = 0.1
"""Seconds until the next try when the key was usable by the time it was checked."""
LOG_LEVELS: dict[plan.Ending, int] = {
    "done": logging.DEBUG,  # it is in the history; a line would cost as much as the run itself
    "halted": logging.INFO,
    "cancelled": logging.INFO,
    "withheld": logging.INFO,
    "partial": logging.WARNING,
    "failed": logging.WARNING,
}


def settlement_of(live: RunState, ending: plan.Ending) -> Settlement:
    """The end of a run as a value: egress lists, dead letters and their reasons."""
    return Settlement(
        record=live.record(ending),
        saved=bool(live.progress.saved),
        egress_lists=live.chain.egress_lists if ending == "done" else (),
        dead_letters=_dead_letters(live, ending),
        context=live.context,
        index_notes=_index_notes(live),
        version=live.version if ending == "done" else "",
    )


def _index_notes(live: RunState) -> tuple[str, str]:
    saved = tuple(each["name"] for each in live.steps if _is_saved(each))
    return index_note(live.chain.name, saved), index_note(live.chain.name, ())


def _is_saved(step: Mapping[str, Any]) -> bool:
    return bool(step["kind"] == "storage" and step["outcome"] == "ok")


def _dead_letters(live: RunState, ending: plan.Ending) -> list[tuple[str, str]]:
    if ending == "failed":
        letters = keys.dead_letters(live.claim.list_name)
        unsure = live.is_unsure or bool(live.marks)
        reason = _reason(live, live.progress.error, _failed_step(live), unsure=unsure)
        return [(letters, reason)]
    if ending == "withheld":
        return [_withheld_letter(live), *_storage_letters(live)]
    return _storage_letters(live) if ending == "partial" else []


def _storage_letters(live: RunState) -> list[tuple[str, str]]:
    given_up = {mark.name for mark in live.given_up}
    return [
        (
            keys.storage_dead_letters(step["name"]),
            _reason(live, step["error"], step, unsure=step["name"] in given_up),
        )
        for step in live.steps
        if step["kind"] == "storage" and step["outcome"] == "failed"
    ]


def _withheld_letter(live: RunState) -> tuple[str, str]:
    """The entry in the list of withheld vCons, in the shape of `schemas.withheld.WithheldVcon`.

    It has no fingerprint: it is in no index of causes.
    """
    assert live.withheld is not None
    reason = {
        "error": str(live.withheld),
        **live.withheld.told(),
        "step": live.withheld.name,
        "kind": live.withheld.kind,
        "attempts": live.attempts,
        "chain": live.chain.name,
        "list_name": live.claim.list_name,
        "run_id": live.claim.run_id,
        "worker": live.worker,
        "at": datetime.now(UTC).isoformat(),
        "config_hash": live.config_hash,
    }
    return keys.withheld(live.claim.list_name), storable_json(reason).decode()


def _failed_step(live: RunState) -> Mapping[str, Any]:
    last = live.steps[-1] if live.steps else {}
    return last if last.get("outcome") == "failed" else {}


def _reason(live: RunState, error: str | None, step: Mapping[str, Any], *, unsure: bool) -> str:
    """The JSON beside a dead letter, in the shape of `schemas.dead_letter.DeadLetter`."""
    kind, name = step.get("kind"), step.get("name")
    found = cause_of(kind, name, error, live.config_hash)
    return storable_json(
        {
            "error": error,
            "cause": _cause(kind, name, error),
            "step": name,
            "kind": kind,
            "attempts": live.attempts,
            "chain": live.chain.name,
            "list_name": live.claim.list_name,
            "run_id": live.claim.run_id,
            "worker": live.worker,
            "at": datetime.now(UTC).isoformat(),
            "fingerprint": found.fingerprint,
            "type": found.type,
            "message": found.message,
            "config_hash": found.config_hash,
            **({"uncertain": True} if unsure else {}),
        }
    ).decode()


def _cause(kind: str | None, name: str | None, error: str | None) -> str:
    """The step and the type of the error, as answers show it since before fingerprints."""
    what = (error or "").partition(":")[0]
    return f"{kind} {name}: {what}" if kind else (error or "unknown")


def current_run_fields() -> dict[str, object]:
    """The fields of the current context's run, for log lines."""
    live = current_run.get()
    if live is None:
        return {}
    return {"run": live.claim.run_id, "chain": live.chain.name, "vcon": live.progress.vcon}


class RunMeter:
    """Counts attempts, their links and their storages in the metrics, when they are settled."""

    def __init__(self, counted: Callable[[], None]) -> None:
        """`counted` is called after each attempt has been counted."""
        self._counted = counted

    def settled(self, live: RunState, status: str) -> None:
        """Count an attempt that this worker has settled."""
        chain = live.chain.name
        RUNS.ended((chain, status), time.monotonic() - live.began)
        if live.withheld is not None and status == "withheld":
            LAW_REFUSALS.labels(chain, live.withheld.purpose, live.withheld.error).inc()
        for step in live.steps[live.resumed :]:
            of_its_kind = LINKS if step["kind"] == "link" else STORAGES
            of_its_kind.ended((chain, step["name"], step["outcome"]), step["seconds"])
        self._counted()


class RunSettler:
    """Settles the runs of one worker."""

    def __init__(
        self,
        worker_id: str,
        connection: RedisConnection,
        queues: Queues,
        meter: RunMeter,
        custody: WorkerCustody,
    ) -> None:
        """Every method waits while Redis is unavailable. `custody` is told of each end first."""
        self.custody = custody
        self._id = worker_id
        self._connection = connection
        self._queues = queues
        self._meter = meter
        self.postponed: dict[int, RunState] = {}
        """By token: runs whose tasks have ended, but which are not settled yet."""

    def on_other_loop(self) -> "RunSettler":
        """A settler for another event loop, while that of this one is blocked."""
        parts = self._id, self._connection, self._queues, self._meter
        return RunSettler(*parts, self.custody.on_other_loop())

    async def settle(self, live: RunState, ending: plan.Stop) -> bool:
        """Settle an attempt; False if this worker no longer holds the run, and nothing changes."""
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
        self, live: RunState, ending: plan.Stop, error: WrongTypeError
    ) -> bool | None:
        """Set the attempt aside, to be settled again when the list may be usable.

        None: neither its list nor the delayed retries take it, so it stays in flight.
        """
        if ending == "failed":
            is_queued = error.key == live.claim.list_name
            return None if is_queued else await self._give_up(live, error)
        log.warning("run set aside", extra={**run_fields(live), "error": str(error)})
        live.is_delayed = True
        aside = self._id, live.claim, live.record("queued"), ASIDE_SECONDS
        try:
            return await self._insist(lambda: self._queues.set_aside(*aside))
        except CommandRefused as refusal:
            if isinstance(refusal, WrongTypeError) and refusal.key == live.claim.list_name:
                return None
            return await self._give_up(live, refusal)

    async def _give_up(self, live: RunState, error: Exception) -> bool:
        """Make a run that cannot be forwarded as configured a dead letter."""
        log.error("settlement refused", exc_info=error, extra=run_fields(live))
        failed, reason = live.progress.error, f"cannot be settled: {without_secrets(str(error))}"
        live.start_over()
        live.progress = plan.after_failure(
            live.progress, f"{failed}; {reason}" if failed else reason
        )
        return await self._fail_for_good(live)

    async def fail(self, live: RunState, error: BaseException) -> bool:
        """Count a failed attempt that ended without a settlement; False as with `settle`."""
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
        """Keep a run that could not be settled for `settle_postponed`."""
        self.postponed[live.claim.token] = live
        log.exception("settlement postponed", extra=run_fields(live))

    async def settle_postponed(self) -> bool:
        """Settle the postponed runs as failed attempts; True if there were any."""
        runs = list(self.postponed.items())
        for token, live in runs:
            await self.fail(live, PatchcordError(live.progress.error))
            del self.postponed[token]
        return bool(runs)

    async def _is_held(self, live: RunState) -> bool:
        """Whether Redis has the claim: a plugin may have raised `Lost` itself."""
        held = await self._insist(lambda: self._queues.held(self._id))
        return live.claim.token in held

    async def _fail_for_good(self, live: RunState) -> bool:
        if live.marks:
            live.explain()
        try:
            return await self._insist(lambda: self._finish(live, "failed"))
        except CommandRefused:
            log.exception("dead letter refused; will be retried", extra=run_fields(live))
            return await self._insist(lambda: self._retry(live, REFUSED_PAUSE, "failed"))

    async def _insist[T](self, operation: Callable[[], Awaitable[T]]) -> T:
        """Repeat while Redis is unavailable, or one of the `NEEDED` keys has another type.

        Raises:
            CommandRefused: any other error reply of Redis.
        """
        while True:
            try:
                return await self._connection.insist(operation)
            except WrongTypeError as error:
                if not error.key.startswith(NEEDED):
                    raise
                if not await own_keys.waited_for(self._connection, error.key):
                    await asyncio.sleep(KEY_PAUSE)

    async def _settle(self, live: RunState, ending: plan.Stop) -> bool:
        if ending == "parked" and not live.marks:
            return await self._park(live)
        if ending == "parked":
            ending = "failed"
            live.progress = plan.after_failure(live.progress, str(live.parked))
        if live.marks and ending == "failed":
            live.explain()
        elif live.marks:  # it has halted the run
            live.marks = ()
        more = live.claim.attempt < live.chain.max_attempts and live.objection is None
        more = more and not live.marks
        if ending == "failed" and more:
            log.warning("attempt failed; will be retried", extra=run_fields(live))
            return await self._retry(live, live.chain.retry_backoff.pause(live.claim.attempt))
        if log.isEnabledFor(level := LOG_LEVELS[ending]):
            about = {"status": ending, **run_fields(live)}
            if ending == "halted" and live.progress.links_done:
                about["link"] = live.chain.links[live.progress.links_done - 1].name
            log.log(level, "run ended", extra=about)
        return await self._finish(live, ending)

    async def _retry(self, live: RunState, seconds: float, status: RunStatus = "queued") -> bool:
        await self.custody.paused(live)
        live.is_delayed = True
        held = await self._queues.retry_later(self._id, live.claim, live.record(status), seconds)
        return self._counted(live, RETRIED, held=held)

    async def _park(self, live: RunState) -> bool:
        """Set the attempt aside until its destination may be called; it does not count."""
        assert live.parked is not None
        live.is_delayed = True
        live.progress = replace(live.progress, error=str(live.parked))
        if await self._is_delayed_already(live):  # so it would go to its list, and return at once
            await asyncio.sleep(min(live.parked.seconds, TWICE_SECONDS))
        await self.custody.paused(live)
        aside = self._id, live.claim, live.record("queued"), live.parked.seconds
        return self._counted(live, PARKED, held=await self._queues.set_aside(*aside))

    async def _is_delayed_already(self, live: RunState) -> bool:
        """Whether the same element, which was queued twice, is among the delayed retries."""
        with contextlib.suppress(CommandRefused):  # the settlement manages without them
            score = await self._connection.command("ZSCORE", keys.LATER, place_of(live))
            return score is not None
        return False

    async def _finish(self, live: RunState, ending: plan.Ending) -> bool:
        end = settlement_of(live, ending)
        if (kept := await self.custody.ended(live, ending, end)) is None:
            return False
        if kept is not NO_CUSTODY:
            end = replace(end, custody=kept)
        held = await self._queues.finish(self._id, live.claim, end)
        return self._counted(live, ending, held=held)

    def _counted(self, live: RunState, status: str, *, held: bool) -> bool:
        if held:
            self._meter.settled(live, status)
        return held


def run_fields(live: RunState) -> dict[str, object]:
    """The fields of a run for log lines, with its error."""
    return {
        "run": live.claim.run_id,
        "chain": live.chain.name,
        "vcon": live.progress.vcon,
        "attempt": live.attempts,
        "error": live.progress.error,
    }
