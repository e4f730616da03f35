"""A recovery: Redis is made like Postgres, in slices.

Each slice is one transaction that holds an advisory lock, reads how far the recovery is from
`redis_identity.recovery`, does a part of a phase against Redis, and notes how far it is then. A
slice that is killed is done again, by any replica: each of its scripts is harmless to repeat.

Phases:
1. begin: the server is closed for claims, and gets the recovery's mark in `pc:epoch`. If the mark
   is missing later, the data were lost or replaced again: the recovery starts over.
2. The phases before claims: pauses and drains are written as they were, the history that waits in
   older data goes to Postgres, and what is settled there is taken out of them.
3. approve, open: the generation and the fencing tokens are raised beyond all before, and workers
   claim again.
4. The phases beside claims, such as queueing again what Postgres has open and Redis lacks.
5. end.
"""

import logging
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from core.db.identity import Identities, Identity, IdentityStep
from core.errors import UnavailableError
from core.observability.metrics import RECOVERED
from pipeline.recovery.judgement import Seen
from pipeline.recovery.steps import in_thread, one_step
from pipeline.redis_client.client import RedisConnection
from schemas.ingress_key import Author

log = logging.getLogger(__name__)

MARGIN = 1_000_000_000
"""By so much fencing tokens are raised: more than are given while Postgres does not see them."""


FORECAST = "?"
"""In place of a mark: nothing is changed."""


class MarkLostError(Exception):
    """Redis does not have the mark of this recovery any more."""


class Slice(NamedTuple):
    """The result of a slice: where the phase goes on (None: it is done), and what was recovered."""

    cursor: Any = None
    counts: Mapping[str, int] = {}


class Under(NamedTuple):
    """The recovery that a slice belongs to."""

    step: IdentityStep
    state: dict[str, Any]

    @property
    def mark(self) -> str:
        """The mark in `pc:epoch`, which each script compares."""
        return str(self.state["id"])


type Work = Callable[[Under], Awaitable[Slice]]


class Phase(NamedTuple):
    """A phase by name. `had_data`: only if Redis has data of an earlier time."""

    name: str
    work: Work
    had_data: bool = False


class Recovery:
    """Carries recoveries out, one slice at each call of `go_on`."""

    def __init__(
        self,
        identities: Identities,
        connection: RedisConnection,
        replica: str,
        before: Sequence[Phase] = (),
        after: Sequence[Phase] = (),
        audit: Callable[..., None] | None = None,
    ) -> None:
        """`before` and `after` are the phases before and after claims begin again."""
        self._identities = identities
        self._connection = connection
        self._replica = replica
        self._audit = audit
        self.counts: Counter[str] = Counter()
        """What this process has recovered, by kind."""
        self._phases = [
            Phase("begin", self._begin),
            Phase("hold up", self._hold_up),
            *before,
            Phase("approve", self._approve),
            Phase("open", self._open),
            *after,
            Phase("end", self._end),
        ]

    async def start(self, row: Identity | None, seen: Seen) -> None:
        """Note a recovery of this server, unless the row has changed since it was read.

        Raises:
            UnavailableError: Postgres cannot be reached.
        """
        async with one_step(self._identities) as step:
            if step is None or _version(step.row) != _version(row):
                return
            is_first = row is None or row.server == ""
            state = self._new(seen.server) | {"first": is_first}
            await in_thread(step.begin, seen.name or uuid.uuid4().hex, state, self._replica)
        if not is_first:
            log.warning("redis is not as custody knows it", extra={"error": _difference(seen)})

    def _new(self, server: str) -> dict[str, Any]:
        return {
            "id": uuid.uuid4().hex,
            "server": server,
            "phase": "begin",
            "cursor": None,
            "counts": {},
        }

    async def go_on(self) -> bool:
        """Do one slice; False when nothing is left, or another replica is at it.

        Raises:
            UnavailableError: Postgres or Redis cannot be reached.
        """
        async with one_step(self._identities) as step:
            if step is None or step.row is None or step.row.recovery is None:
                return False
            state = dict(step.row.recovery)
            try:
                await self._slice(step, state)
            except MarkLostError:
                again = self._new(state["server"]) | {"first": state["first"]}
                await in_thread(step.note, again)
        return True

    async def forecast(self, seen: Seen) -> dict[str, int]:
        """What a recovery would take out and queue again, by kind; changes nothing."""
        counts: Counter[str] = Counter()
        async with one_step(self._identities) as step:
            if step is None:
                raise UnavailableError("a recovery is under way; ask again after it")
            state = self._new(seen.server) | {"id": FORECAST, "counter": seen.counter}
            state |= {"had_data": True, "last": 2**63 - 1, "generation": 0, "would": 0}
            for phase in self._phases:
                if phase.name in ("take out", "queue"):
                    await _whole(phase, Under(step, state), counts)
            if state["would"]:
                counts["taken out"] = state["would"]
        return dict(counts)

    async def _slice(self, step: IdentityStep, state: dict[str, Any]) -> None:
        phase = next(each for each in self._phases if each.name == state["phase"])
        done = await phase.work(Under(step, state))
        counts = state["counts"]
        for kind, count in done.counts.items():
            counts[kind] = counts.get(kind, 0) + count
        if phase.name != "end":
            state["cursor"] = done.cursor
            if done.cursor is None:
                state["phase"] = self._after(phase, state)
            await in_thread(step.note, state)
        for kind, count in done.counts.items():
            RECOVERED.labels(kind).inc(count)
            self.counts[kind] += count

    def _after(self, phase: Phase, state: Mapping[str, Any]) -> str:
        rest = self._phases[self._phases.index(phase) + 1 :]
        return next(each.name for each in rest if state["had_data"] or not each.had_data)

    async def _begin(self, under: Under) -> Slice:
        words = under.state["server"], under.mark
        is_ours, *told = await self._connection.script("begin_recovery", *words)
        if not is_ours:
            raise UnavailableError("Redis is another server than a moment ago")
        had_data, counter = told
        under.state["had_data"], under.state["counter"] = bool(had_data), counter
        return Slice()

    async def _hold_up(self, under: Under) -> Slice:
        """What holds up claims is there before claims begin."""
        kept = under.step.row.kept if under.step.row else {}
        if not kept:
            return Slice()
        paused, drained = (kept.get(each) or {} for each in ("paused", "drained"))
        words = [word for entries in (paused, drained) for each in entries.items() for word in each]
        count = await self._connection.script("hold_up", under.mark, len(paused), *words)
        if count < 0:
            raise MarkLostError
        return Slice(counts={"pauses": count} if count else {})

    async def _approve(self, under: Under) -> Slice:
        state, row = under.state, under.step.row
        counter = max(row.counter if row else 0, state["counter"]) + MARGIN
        how = state["server"], counter, self._replica
        generation, last = await in_thread(under.step.approve, *how)
        state |= {"generation": generation, "last": last, "raised": counter}
        return Slice()

    async def _open(self, under: Under) -> Slice:
        state, row = under.state, under.step.row
        words = row.name if row else "", state["generation"], state["raised"]
        if not await self._connection.script("approve", state["server"], under.mark, *words):
            raise MarkLostError
        state["approved"] = True
        return Slice()

    async def _end(self, under: Under) -> Slice:
        await self._connection.script("end_recovery", under.mark)
        await in_thread(under.step.end)
        state, counts = under.state, under.state["counts"]
        told = ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()))
        if counts or not state["first"]:
            total = sum(counts.values())
            log.warning("redis recovered", extra={"count": total, "status": told or "nothing lost"})
            if self._audit is not None:
                author = Author(actor=f"replica:{self._replica}")
                await in_thread(self._audit, "recover", author, "redis", counts)
        return Slice()


async def _whole(phase: Phase, under: Under, counts: Counter[str]) -> None:
    under.state["cursor"] = None
    while True:
        done = await phase.work(under)
        counts.update(done.counts)
        under.state["cursor"] = done.cursor
        if done.cursor is None:
            return


def _version(row: Identity | None) -> object:
    return row and (row.server, row.generation, row.recovery and row.recovery["id"])


def _difference(seen: Seen) -> str:
    if not seen.generation:
        return "it has no pc:epoch: its data are gone; what custody holds is queued again"
    return "it has started again, was replaced, or has data of an earlier time"
