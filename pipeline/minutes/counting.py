"""Counting into the minutes in Redis, beside what is counted and without a cost for it.

The metrics of the process count in memory (`core.observability.outcome_metrics`). `flush` compares
their numbers with those of the last flush, and sends the differences in one script call. Nothing is
done when something is counted, so a run takes no longer; an idle process sends nothing.

What is lost: a process that is killed loses what it has counted since the last flush. While Redis
is unavailable the differences are kept, and counted in the minute in which it is back.
"""

import contextlib
import logging
from asyncio import timeout
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import batched, chain
from uuid import UUID, uuid4

from core.errors import UnavailableError
from core.observability.metrics import LINKS, RUNS, STORAGES
from core.observability.outcome_metrics import Durations, Outcomes
from pipeline.minutes.fields import (
    ABOVE_ALL,
    KEPT_SECONDS,
    MICROSECONDS,
    MOST_FIELDS,
    NUMBER,
    OTHER,
    Field,
)
from pipeline.redis_client.client import CommandRefused, RedisConnection
from pipeline.redis_client.periodic import every, skip_unusable

FLUSH_SECONDS = 1.0
LAST_FLUSH = 1.0
"""Seconds for the last flush, when the process stops."""
BATCH = 400
"""Counters of one script call."""
MOST_NAMES = 500
"""Subjects of one family that a process counts under their own names."""

type Increments = Iterable[tuple[Field, int]]
type Source = Callable[[], Increments]
"""Returns what was counted since its last call."""

log = logging.getLogger(__name__)


class OutcomeSource:
    """What one `Outcomes` has counted since the last call."""

    def __init__(self, family: str, outcomes: Outcomes[*tuple[str, ...]]) -> None:
        """What was counted before the first call counts as new."""
        self._family, self._outcomes = family, outcomes
        self._parts = (*map(str, outcomes.fine), ABOVE_ALL)
        self._seen: dict[tuple[object, ...], Durations] = {}
        self._names: set[tuple[str, ...]] = set()

    def __call__(self) -> Iterator[tuple[Field, int]]:
        """The increments; the caller must take all of them."""
        for key, times in self._outcomes.durations.items():
            seen = self._seen.get(key) or Durations(len(self._parts) - 1)
            if seen.counts != times.counts:
                *names, outcome = map(str, key)
                yield from self._increments(tuple(names), outcome, seen, times)
                self._seen[key] = times.copy()

    def _increments(
        self, names: tuple[str, ...], outcome: str, seen: Durations, times: Durations
    ) -> Iterator[tuple[Field, int]]:
        if names not in self._names and len(self._names) >= MOST_NAMES:
            names = (OTHER,) * len(names)
        self._names.add(names)
        pairs = zip(self._parts, seen.counts, times.counts, strict=True)
        for part, before, after in pairs:
            if after != before:
                yield Field(self._family, outcome, part, names), after - before
        micros = round((times.total - seen.total) * 1e6)
        yield Field(self._family, outcome, MICROSECONDS, names), micros


def partner_source(recent: Callable[[], Mapping[tuple[UUID, str], int]]) -> Source:
    """Uses of ingress keys; `recent` returns those since its last call, by key and kind."""
    return lambda: [
        (Field("partner", what, NUMBER, (str(key_id),)), count)
        for (key_id, what), count in recent().items()
    ]


def run_sources() -> list[Source]:
    """What the process's metrics count of runs, links and storages."""
    metrics: Mapping[str, Outcomes[*tuple[str, ...]]] = {
        "run": RUNS,
        "link": LINKS,
        "storage": STORAGES,
    }
    return [OutcomeSource(family, each) for family, each in metrics.items()]


class MinuteCounts:
    """Sends what a process counts to Redis, once a second."""

    def __init__(
        self, connection: RedisConnection, sources: Iterable[Source], seconds: float = FLUSH_SECONDS
    ) -> None:
        """What the sources have counted before is left out. Call it on the event loop's thread."""
        self._connection = connection
        self._sources = list(sources)
        self._seconds = seconds
        self._process = uuid4().hex
        self._number = 0
        self._batches: deque[tuple[tuple[Field, int], ...]] = deque()
        for source in self._sources:
            deque(source(), maxlen=0)

    async def run(self) -> None:
        """Flush every second until cancelled."""
        await every(self._seconds, lambda: skip_unusable(self.flush))

    async def flush(self) -> None:
        """Send what was counted since the last flush; not while another flush runs.

        Raises:
            UnavailableError: Redis cannot be reached; the numbers are kept.
        """
        if not self._batches:
            counted = chain.from_iterable(source() for source in self._sources)
            self._batches.extend(batched(counted, BATCH))
        while self._batches:
            words = chain.from_iterable((field.text, n) for field, n in self._batches[0])
            about = self._process, self._number, MOST_FIELDS, KEPT_SECONDS
            await self._connection.script("count_minute", *about, *words)
            self._number += 1
            self._batches.popleft()

    async def close(self) -> None:
        """Flush a last time, for `LAST_FLUSH` seconds at most; after `run` was cancelled."""
        with contextlib.suppress(UnavailableError, CommandRefused, TimeoutError):
            async with timeout(LAST_FLUSH):
                await skip_unusable(self.flush)
