"""Compares Redis with what Postgres knows of it, once a second in each service and API process.

`pc:epoch` names the server that was approved last, and its generation; workers claim on that
server only (`claim.lua` compares). `redis_identity` in Postgres has the same, and the fencing
counter as it was last seen. If one of them differs, Redis has lost data, was replaced by another
server, or has data of an earlier time: a recovery makes it like Postgres (`recovery.py`).

Two replicas may see two servers, such as while one of them has not noticed a failover. Then the
server in use stays: a replica that sees another one waits until no replica has seen the first for
some seconds, and a server whose place was taken is closed for claims.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import NamedTuple

from core.db.identity import Identities, Identity
from core.errors import InvalidError
from core.observability.metrics import RECOVERING, REDIS_LOSSES
from pipeline.recovery.judgement import Seen, Verdict, judged
from pipeline.recovery.recovery import Recovery
from pipeline.recovery.steps import in_thread
from pipeline.redis_client.client import RedisConnection

log = logging.getLogger(__name__)

WATCH_SECONDS = 1.0
"""Seconds between two looks."""
REFRESHED_AFTER = 0.9
"""Seconds after which a look is noted in Postgres, unless another replica has just done it."""
PAUSE_SECONDS = 0.02
"""Seconds until `finish` looks again whether another replica has finished."""
NOT_LOOKED = "Redis has not been compared with custody yet"
_PROBLEMS = {
    Verdict.SUPERSEDED: "this Redis was replaced by another one, which other replicas use",
    Verdict.DIFFERENT: "this Redis is not the one that other replicas use",
    Verdict.RECOVER: "Redis has other data than custody: it is being recovered",
    Verdict.GO_ON: "Redis has other data than custody: it is being recovered",
}


_TOLD = {
    **_PROBLEMS,
    Verdict.HEALTHY: "Redis is the one that custody knows",
    Verdict.RECOVER: "Redis has other data than custody",
    Verdict.GO_ON: "a recovery is under way",
}


class Told(NamedTuple):
    """What an operator is told of a recovery."""

    verdict: str
    generation: int
    counts: dict[str, int]


class IdentityWatch:
    """Looks, and starts and carries out recoveries."""

    def __init__(
        self,
        identities: Identities,
        connection: RedisConnection,
        recovery: Recovery,
        replica: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`replica`: the id of this process in the register. `clock` gives seconds."""
        self._identities = identities
        self._connection = connection
        self._recovery = recovery
        self._replica = replica
        self._clock = clock
        self.problem = NOT_LOOKED
        """Why no vCon is claimed on this Redis now; "" if vCons are."""

    async def round(self) -> None:
        """Look once; a recovery goes on for up to a second.

        Raises:
            UnavailableError: Redis or Postgres cannot be reached.
        """
        verdict = await self._look()
        until = self._clock() + WATCH_SECONDS
        while verdict is Verdict.GO_ON and self._clock() < until:
            if not await self._recovery.go_on():
                break
        if verdict is Verdict.GO_ON:
            await self._look()

    async def finish(self) -> None:
        """Look and recover until nothing is left to be done here."""
        while await self._look() is Verdict.GO_ON:
            while await self._recovery.go_on():
                pass
            await asyncio.sleep(PAUSE_SECONDS)

    async def forecast(self) -> Told:
        """What a recovery would do now; changes nothing but the fencing counter."""
        row = await in_thread(self._identities.read)
        seen = await self._seen()
        verdict = judged(row, seen, self._replica)
        counts = await self._recovery.forecast(seen)
        return Told(_TOLD[verdict], row.generation if row else 0, counts)

    async def recover_now(self) -> Told:
        """Recover, also if nothing was lost.

        Raises:
            InvalidError: other replicas use another Redis.
        """
        row = await in_thread(self._identities.read)
        seen = await self._seen()
        verdict = judged(row, seen, self._replica)
        if verdict in (Verdict.SUPERSEDED, Verdict.DIFFERENT):
            raise InvalidError(f"{_PROBLEMS[verdict]}; correct REDIS_URL")
        if verdict is not Verdict.GO_ON:
            await self._recovery.start(row, seen)
        before = dict(self._recovery.counts)
        await self.finish()
        row = await in_thread(self._identities.read)
        counts = {
            kind: count - before.get(kind, 0)
            for kind, count in self._recovery.counts.items()
            if count > before.get(kind, 0)
        }
        return Told(_TOLD[verdict], row.generation if row else 0, counts)

    async def _look(self) -> Verdict:
        row = await in_thread(self._identities.read)
        seen = await self._seen()
        verdict = judged(row, seen, self._replica)
        if verdict is Verdict.RECOVER:
            await self._start(row, seen)
            verdict = Verdict.GO_ON
        elif verdict is Verdict.SUPERSEDED and row is not None:
            await self._connection.script("fence", row.generation)
        if row is not None and _is_to_be_noted(row, seen):
            await in_thread(self._identities.refresh, row, seen.counter, self._replica)
        if row is not None and verdict is Verdict.HEALTHY and seen.kept != row.kept:
            await in_thread(self._identities.keep, row, seen.kept)
        RECOVERING.set(verdict is Verdict.GO_ON)
        self._tell(verdict, seen)
        return verdict

    async def _start(self, row: Identity | None, seen: Seen) -> None:
        if row is not None and row.server != "" and seen.generation == "":
            REDIS_LOSSES.inc()
        await self._recovery.start(row, seen)

    async def _seen(self) -> Seen:
        return Seen(*await self._connection.script("see_server"))

    def _tell(self, verdict: Verdict, seen: Seen) -> None:
        problem = "" if seen.is_approved and verdict is Verdict.GO_ON else _problem(verdict)
        if problem != self.problem and verdict in (Verdict.SUPERSEDED, Verdict.DIFFERENT):
            log.warning("redis is not in use", extra={"error": problem})
        self.problem = problem


def _is_to_be_noted(row: Identity, seen: Seen) -> bool:
    is_row = seen.server == row.server and seen.is_approved and seen.counter > row.counter
    return is_row and row.age > REFRESHED_AFTER


def _problem(verdict: Verdict) -> str:
    return _PROBLEMS.get(verdict, "")
