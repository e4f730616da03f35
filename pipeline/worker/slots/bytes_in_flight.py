"""The bound on the bytes of documents that a worker's runs hold together.

A run begins when its document fits beside those of the runs in progress. A run that has begun never
waits, so the bound cannot stop the worker. It is a bound on beginning: documents that grow in their
runs count with their present size, and may exceed it.

A document larger than the whole bound begins when no other run is in progress, and the others wait
until it has ended. Runs wait in the order of their claims. A smaller one passes a larger one that
does not fit; after `MOST_PASSED` of them none does, so that the runs in progress end and it fits.

Sizes. A claim returns the size of a document that came in through this service. Of others the size
is not known: they count as `assumed` bytes. Redis measures them once a run would have to wait,
since that takes Redis up to 5 ms for each million bytes. Once a run has read or written its
document through `lib`, the length of that text counts.
"""

import asyncio
from collections.abc import Sequence

from pipeline.redis_client import keys
from pipeline.redis_client.client import CommandRefused, RedisConnection
from pipeline.runs.run_state import RunState

MOST_PASSED = 64
"""Runs that pass one that waits."""
LOOK_SECONDS = 0.2
"""Seconds between two looks at sizes that have changed, while runs wait."""


def next_to_begin(waiting: Sequence[int], running: int, used: int, bound: int, passed: int) -> int:
    """The position of the run that may begin now, of those that wait; -1 if none may.

    `waiting`: the sizes of their documents; `running`: the number of runs in progress, which use
    `used` bytes; `passed`: how many have passed the first that waits.
    """
    if waiting and not running:
        return 0
    passing = waiting if passed < MOST_PASSED else waiting[:1]
    return next((at for at, size in enumerate(passing) if used + size <= bound), -1)


class BytesInFlight:
    """Lets the runs of a worker begin within the bound."""

    def __init__(self, bound: int | None, assumed: int, connection: RedisConnection) -> None:
        """`bound`: None: there is none. `assumed`: the bytes of documents of unknown size."""
        self._bound = bound
        self._assumed = assumed
        self._connection = connection
        self._running: dict[int, RunState] = {}
        self._waiting: dict[int, tuple[RunState, asyncio.Future[None]]] = {}
        self._sizes: dict[int, int] = {}
        self._unknown: set[int] = set()
        self._used = self._changes = self._passed = 0

    async def enter(self, live: RunState) -> None:
        """Wait until the run may begin; `leave` must follow in any case."""
        if self._bound is None:
            return
        token = live.claim.token
        self._sizes[token] = live.claim.size if live.claim.size >= 0 else self._assumed
        if live.claim.size < 0:
            self._unknown.add(token)
        begins = asyncio.get_running_loop().create_future()
        self._waiting[token] = live, begins
        self._count_if_due(self._sizes[token], self._bound)
        self._let_in()
        while not begins.done():
            await self._measure()
            self._count()
            self._let_in()
            await asyncio.wait([begins], timeout=LOOK_SECONDS)

    def leave(self, live: RunState) -> None:
        """Give back the bytes of a run, whether it has begun or not."""
        token = live.claim.token
        self._unknown.discard(token)
        size = self._sizes.pop(token, 0)
        if self._running.pop(token, None):
            self._used -= size
        self._waiting.pop(token, None)
        self._let_in()

    @property
    def waiting_lists(self) -> set[str]:
        """The lists of which runs wait."""
        return {live.claim.list_name for live, _ in self._waiting.values()}

    def _let_in(self) -> None:
        while self._waiting and self._bound is not None:
            waiting = [self._sizes[token] for token in self._waiting]
            running = len(self._running)
            at = next_to_begin(waiting, running, self._used, self._bound, self._passed)
            if at < 0:
                return
            self._begin(list(self._waiting)[at])
            self._passed = self._passed + 1 if at else 0

    def _begin(self, token: int) -> None:
        self._running[token], begins = self._waiting.pop(token)
        self._used += self._sizes[token]
        if not begins.done():
            begins.set_result(None)

    def _count_if_due(self, more: int, bound: int) -> None:
        """Count when the bound may be near, else so rarely that it costs little for each run."""
        self._changes += 1
        if 2 * (self._used + more) > bound or self._changes * 4 > len(self._running):
            self._count()

    def _count(self) -> None:
        """Take the present sizes of documents that runs have read or written."""
        self._changes = 0
        for token, live in self._running.items():
            if live.memory.length:
                self._sizes[token] = live.memory.length
                self._unknown.discard(token)
        self._used = sum(self._sizes[token] for token in self._running)

    async def _measure(self) -> None:
        """Have Redis measure the documents whose sizes are assumed, each once."""
        while self._unknown:
            token = self._unknown.pop()
            waiting = self._waiting.get(token)
            live = waiting[0] if waiting else self._running[token]
            size = await self._measured(live.claim.vcon_uuid)
            if token in self._sizes:  # it may have ended meanwhile
                self._sizes[token] = size

    async def _measured(self, vcon_uuid: str) -> int:
        """The bytes that a document takes up in Redis; `assumed` if Redis refuses to tell."""
        words = "MEMORY", "USAGE", keys.vcon(vcon_uuid)
        try:
            size = await self._connection.insist(lambda: self._connection.command(*words))
        except CommandRefused:
            return self._assumed
        return int(size or 0)
