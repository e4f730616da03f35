"""The backlog of lists: now, and one sample of it a minute.

From the samples follows what comes in: other programs put uuids into lists directly, so what
actions take in is not all (`pipeline.operator.numbers.status`).
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import batched

from core.errors import UnusableKeyError
from pipeline.config.lists import lists_of
from pipeline.live_config import Configuration
from pipeline.minutes.fields import KEPT_SECONDS, MOST_FIELDS, NUMBER, Field
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.periodic import skip_unusable

MOST_DELAYED = 500
"""Delayed retries that are looked at; of more, a random part, from which their lists follow."""
MOST_WORKERS, MOST_HELD = 2000, 2000
"""Workers, and runs of one worker, that are looked at."""
AT_ONCE = 500
"""Commands that are sent together."""
SAMPLED = Field("sampled", "-", NUMBER, ("at",))
"""The time of the samples: milliseconds since the minute began."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """vCons of one list: in the list, delayed until a retry, and in flight."""

    waiting: int = 0
    delayed: int = 0
    in_flight: int = 0

    @property
    def all(self) -> int:
        """All that have not ended."""
        return self.waiting + self.delayed + self.in_flight

    def plus(self, other: "Waiting") -> "Waiting":
        """The sums of two lists."""
        return Waiting(
            self.waiting + other.waiting,
            self.delayed + other.delayed,
            self.in_flight + other.in_flight,
        )


@dataclass(frozen=True, slots=True)
class Backlog:
    """By list; `delayed` counts the retries of all lists."""

    lists: dict[str, Waiting] = field(default_factory=dict)
    delayed: int = 0

    def of(self, names: Sequence[str]) -> Waiting:
        """The sum of some lists."""
        total = Waiting()
        for name in names:
            total = total.plus(self.lists.get(name, Waiting()))
        return total


class BacklogReader:
    """Reads the backlog with commands each of which is short."""

    def __init__(self, connection: RedisConnection) -> None:
        self._redis = connection

    async def read(self, lists: Sequence[str]) -> Backlog:
        """The backlog of these lists now; a key of another type has nothing.

        Raises:
            UnavailableError: Redis cannot be reached.
        """
        (total, delayed), held = await asyncio.gather(self._delayed(), self._held())
        found: dict[str, Waiting] = {}
        for part in batched(lists, AT_ONCE // 2):
            lengths = await asyncio.gather(*map(self._length, part))
            for name, length in zip(part, lengths, strict=True):
                found[name] = Waiting(length, delayed.get(name, 0), held[name])
        return Backlog(found, total)

    async def _length(self, name: str) -> int:
        places = name, keys.suspects(name)
        return sum([await self._number("LLEN", each) for each in places])

    async def _delayed(self) -> tuple[int, Mapping[str, int]]:
        """The number of retries that are not due, and those of each list."""
        total = await self._number("ZCARD", keys.LATER)
        if not total:
            return 0, {}
        if total > MOST_DELAYED:
            members = await self._texts("ZRANDMEMBER", keys.LATER, -MOST_DELAYED)
        else:
            members = await self._texts("ZRANGE", keys.LATER, 0, MOST_DELAYED - 1)
        counts = Counter(each.partition("\n")[0] for each in members)
        scale = total / max(len(members), 1)
        return total, {name: round(count * scale) for name, count in counts.items()}

    async def _held(self) -> Counter[str]:
        """The runs in flight by list."""
        workers = await self._texts("SRANDMEMBER", keys.WORKERS, MOST_WORKERS)
        held: Counter[str] = Counter()
        for part in batched(workers, AT_ONCE):
            for values in await asyncio.gather(*map(self._held_by, part)):
                held.update(_lists(values))
        return held

    async def _held_by(self, worker: str) -> Sequence[str]:
        inflight = keys.inflight(worker)
        size = await self._number("HLEN", inflight)
        return await self._texts("HVALS", inflight) if 0 < size <= MOST_HELD else ()

    async def _number(self, command: str, key: str) -> int:
        try:
            return int(await self._redis.command(command, key))
        except UnusableKeyError:
            return 0

    async def _texts(self, *words: object) -> Sequence[str]:
        try:
            return list(await self._redis.command(*words))
        except UnusableKeyError:
            return ()


def _lists(values: Iterable[str]) -> Iterable[str]:
    """The lists of in-flight values: token, run, list, element, a line each."""
    parts = (value.split("\n", 3) for value in values)
    return (each[2] for each in parts if len(each) == 4)


class BacklogSamples:
    """The chore of service processes that takes the samples."""

    def __init__(self, connection: RedisConnection, configuration: Configuration) -> None:
        """The lists are those that chains read, disabled chains included."""
        self._redis = connection
        self._reader = BacklogReader(connection)
        self._configuration = configuration

    async def take(self) -> None:
        """Take the sample of this minute, if no replica has.

        Raises:
            UnavailableError: Redis cannot be reached.
        """
        await skip_unusable(self._take)

    async def _take(self) -> None:
        """Two replicas may do it at once: of each field, the first value stays."""
        seconds, micros = map(int, await self._redis.command("TIME"))
        key, since = keys.minute(seconds // 60), seconds % 60 * 1000 + micros // 1000
        if await self._redis.command("HEXISTS", key, SAMPLED.text):
            return
        lists = lists_of(self._configuration.config).ingress
        backlog = await self._reader.read(lists)
        if await self._redis.command("HLEN", key) >= MOST_FIELDS:
            return
        rows = [(SAMPLED, since)] + [row for name in lists for row in _fields(name, backlog)]
        for part in batched(rows, AT_ONCE):
            await asyncio.gather(*(self._keep(key, *row) for row in part))
        await self._redis.command("EXPIRE", key, KEPT_SECONDS)

    async def _keep(self, key: str, field: Field, number: int) -> None:
        await self._redis.command("HSETNX", key, field.text, number)


def _fields(name: str, backlog: Backlog) -> list[tuple[Field, int]]:
    found = backlog.lists[name]
    numbers = {"waiting": found.waiting, "delayed": found.delayed, "in_flight": found.in_flight}
    return [(Field(what, "-", NUMBER, (name,)), number) for what, number in numbers.items()]
