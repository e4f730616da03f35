"""The gate before each call of a destination: slots, rate and circuit breaker, over all replicas.

A destination is a server that links and storages call; `pipeline/config/destinations.py` reads its
limits. Its state is in Redis, so all replicas share it, and is changed by scripts only:

- `pc:slots:{name}`: the calls in flight, each with the end of its lease. A worker renews the leases
  of its calls; those of a dead worker run out, and their slots are free again.
- `pc:parked:{name}`: the runs that wait, by the time at which each may come. It is what keeps their
  order: a new run goes only if it takes the place of none of them.
- `pc:destination:{name}`: the rate's last start, the mean seconds of a call, and the breaker.

A call asks for a slot (`enter_destination.lua`). If it has to wait for up to `IN_PLACE` seconds, it
waits here. Otherwise the run is parked: `Parked` ends the attempt, and the claim goes to the
delayed retries without counting an attempt. Its time is that at which its turn is expected: by the
rate, by the mean duration of calls and the number that are allowed at once, or after the time for
which the breaker is open. The end of a call (`leave_destination.lua`) brings the next parked runs
back earlier: to the head of their list, which wakes a worker. A parked run that returns takes its
slot only then; one that never does (cancelled, its chain paused) stands in the way of new runs for
15 seconds after its time at most.

Breaker. It opens after so many failures in a row. Then calls are parked, failed ones, too: none
costs an attempt while it is open. After the time for which it is open, the first run that asks
becomes the probe, and others are parked behind it. If it succeeds, the parked runs come back,
paced. If it fails, the time doubles, and the run goes to the end of the queue, so that another one
is the next probe: one vCon that always fails does not keep a breaker open.

What can fail: the reply of a script is lost, and it is run again, which changes nothing more. Redis
is away: asking waits like any other step; a slot that could not be given back runs out. A vCon is
in one list twice: the delayed retries take its element once, so the other one would go to the list
and be claimed again at once; it waits in its worker first (`RunSettler`).
"""

import asyncio
import contextlib
import logging
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from core.errors import UnavailableError
from core.observability.error_texts import outside
from core.observability.metrics import DESTINATION_CALLS, DESTINATION_PARKED
from core.observability.redaction import error_text
from core.observability.storable_text import storable_text
from core.run_ids import new_run_id
from pipeline.config.model import Breaker, Destination
from pipeline.destinations.failures import LONGEST_TEXT, Outcome, outcome_of
from pipeline.destinations.replies import Ended, Go, Later, entered, waiting_text
from pipeline.redis_client.client import CommandRefused, RedisConnection
from pipeline.redis_client.errors import counted
from pipeline.runs.call_scope import repeating
from pipeline.runs.parking import Parked

log = logging.getLogger(__name__)

IN_PLACE = 1.0
"""Seconds that a call waits in its worker at most."""
SHORTEST_PARKING = 0.5
"""Seconds that a parked run is away at least: its way through the queue costs more than a look."""
SLOT_SECONDS = 30.0
"""The lease of a slot; it is renewed three times in that time."""
LONGEST_OPEN = 600.0
"""Seconds for which a breaker is open at most, unless its `seconds` are more."""
LONGEST_REPEAT = 60.0
"""Seconds that a repeat within a call waits for the rate."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is to be made."""

    to: Destination
    place: str
    """The place of the run as `place_of` gives it; "" if no run can be parked."""
    step: str
    """The link or storage, for log lines."""


@dataclass(frozen=True, slots=True)
class _End:
    holder: str
    outcome: Outcome
    seconds: float = 0.0
    error: Exception | None = None


class DestinationGate:
    """The gate of one process. All methods belong to one event loop."""

    def __init__(self, connection: RedisConnection, clock: Callable[[], str] = str) -> None:
        """`clock()`: milliseconds since 1970, or "" for Redis' clock."""
        self._connection = connection
        self._clock = clock
        self._held: defaultdict[str, set[str]] = defaultdict(set)
        self._in_place: defaultdict[str, deque[asyncio.Event]] = defaultdict(deque)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._renewal: asyncio.TimerHandle | None = None

    async def call[T](self, call: Call, attempt: Callable[[], Awaitable[T]]) -> T:
        """Make a call when its destination allows it; returns or raises what it does.

        Raises:
            Parked: the run has to wait for longer; or the call failed, and the breaker is open.
            UnavailableError: Redis cannot be reached.
        """
        holder, to = new_run_id(), call.to
        pause = await self._enter(call, holder)
        token = repeating.set(partial(self._repeat, to) if to.requests_per_minute else None)
        began = time.monotonic() + pause
        try:
            if pause:
                await asyncio.sleep(pause)
            with counted() as failures:
                result = await attempt()
        except Exception as error:
            outcome = outcome_of(error, redis_failed=bool(failures.count))
            end = _End(holder, outcome, time.monotonic() - began, error)
            if (ended := await self._leave(call, end)).is_open and call.place:
                raise _parked(to, ended, error) from error
            raise
        except BaseException:  # the call was broken off; there may be no time to wait for Redis
            self._spawn(self._leave(call, _End(holder, "neither")))
            raise
        finally:
            repeating.reset(token)
        await self._leave(call, _End(holder, "ok", time.monotonic() - began))
        return result

    async def _enter(self, call: Call, holder: str) -> float:
        """Wait in place for a slot; returns the seconds to wait before the call."""
        ends, to = time.monotonic() + IN_PLACE, call.to
        while True:
            reply = await self._ask(call, holder)
            if isinstance(reply, Go):
                self._keep(to.name, holder)
                return reply.seconds
            if reply.seconds > ends - time.monotonic():
                DESTINATION_PARKED.labels(to.name, reply.reason).inc()
                raise Parked(waiting_text(to, reply), _away(reply.seconds))
            await self._wait_in_place(to.name, reply.seconds)

    async def _ask(self, call: Call, holder: str) -> Go | Later:
        to = call.to
        try:
            reply = await self._connection.script(
                "enter_destination",
                to.name,
                holder,
                call.place,
                self._clock(),
                int(SLOT_SECONDS * 1000),
                int(IN_PLACE * 1000),
                to.max_in_flight or 0,
                interval_of(to),
                int(breaker_of(to).failures > 0),
            )
        except asyncio.CancelledError:  # the script is sent all the same, and may take a slot
            self._spawn(self._leave(call, _End(holder, "neither")))
            raise
        return entered(reply)

    async def _wait_in_place(self, name: str, seconds: float) -> None:
        """Wait for so long, or until a call of this process ends."""
        freed, waiting = asyncio.Event(), self._in_place[name]
        waiting.append(freed)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await freed.wait()
        finally:
            if freed in waiting:
                waiting.remove(freed)

    async def _leave(self, call: Call, end: _End) -> Ended:
        to, breaker = call.to, breaker_of(call.to)
        self._held[to.name].discard(end.holder)
        DESTINATION_CALLS.labels(to.name, end.outcome).inc()
        try:
            reply = await self._connection.script(
                "leave_destination",
                to.name,
                end.holder,
                call.place,
                self._clock(),
                end.outcome,
                int(end.seconds * 1000),
                to.max_in_flight or 0,
                interval_of(to),
                breaker.failures,
                int(breaker.seconds * 1000),
                int(max(LONGEST_OPEN, breaker.seconds) * 1000),
                outside(_described(end.error)) if end.error else "",
                datetime.now(UTC).isoformat(timespec="seconds"),
            )
        except (UnavailableError, CommandRefused):  # the slot's lease runs out
            return Ended()
        finally:
            if waiting := self._in_place[to.name]:
                waiting.popleft().set()
        ended = Ended.of(reply)
        _log(call, ended, end.error)
        return ended

    async def _repeat(self, to: Destination) -> None:
        """Wait before a repeat within a call, as the rate demands."""
        longest = int(LONGEST_REPEAT * 1000)
        words = to.name, self._clock(), interval_of(to), longest
        with contextlib.suppress(UnavailableError, CommandRefused):
            wait = await self._connection.script("repeat_call", *words)
            await asyncio.sleep(wait / 1000)

    def _keep(self, name: str, holder: str) -> None:
        self._held[name].add(holder)
        if self._renewal is None:
            loop = asyncio.get_running_loop()
            self._renewal = loop.call_later(SLOT_SECONDS / 3, self._renew_all)

    def _renew_all(self) -> None:
        self._renewal = None
        if any(self._held.values()):
            self._spawn(self.renew())
            loop = asyncio.get_running_loop()
            self._renewal = loop.call_later(SLOT_SECONDS / 3, self._renew_all)

    async def renew(self) -> None:
        """Renew the leases of all slots that calls of this process hold."""
        for name, holders in list(self._held.items()):
            if holders:
                with contextlib.suppress(UnavailableError, CommandRefused):
                    lease = int(SLOT_SECONDS * 1000)
                    words = name, self._clock(), lease, *holders
                    await self._connection.script("keep_slots", *words)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait until all slots are given back, as far as Redis answers."""
        if self._renewal is not None:
            self._renewal.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


def interval_of(to: Destination) -> str:
    """The milliseconds between two calls, for scripts."""
    per_minute = to.requests_per_minute
    return f"{60_000 / per_minute:.3f}" if per_minute else "0"


def breaker_of(to: Destination) -> Breaker:
    """The breaker; one that never opens if there is none."""
    return to.breaker or Breaker(failures=0)


def _away(seconds: float) -> float:
    return max(seconds, SHORTEST_PARKING)


def _described(error: Exception) -> str:
    return storable_text(error_text(f"{type(error).__name__}: {error}"))[:LONGEST_TEXT]


def _parked(to: Destination, ended: Ended, error: Exception) -> Parked:
    text = waiting_text(to, Later(ended.seconds, "open"))
    return Parked(f"{text}; the last call failed: {_described(error)}", _away(ended.seconds))


def _log(call: Call, ended: Ended, error: Exception | None) -> None:
    name = f"destination {call.to.name}, {call.step}"
    if ended.change in ("opened", "reopened"):
        about = f"{name}: {outside(_described(error))}" if error else name
        seconds = round(ended.seconds, 3)
        fields = {"error": about, "count": ended.failures, "seconds": seconds}
        log.warning("destination not called for a while", extra=fields)
    elif ended.change == "closed":
        log.warning("destination answers again", extra={"error": name})
