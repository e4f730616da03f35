"""The backlog of lists: now, and one sample of it a minute.

From the samples follows what comes in: other programs put uuids into lists directly, so what
actions take in is not all (`pipeline.operator.numbers.status`).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import batched, chain

from pipeline.config.lists import lists_of
from pipeline.live_config import Configuration
from pipeline.minutes.fields import KEPT_SECONDS, MOST_FIELDS, names_text
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.periodic import skip_unusable

LISTS_AT_ONCE = 200
"""Lists of one script call."""


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
    """Reads the backlog in one script call for every 200 lists."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection

    async def read(self, lists: Sequence[str]) -> Backlog:
        """The backlog of these lists now.

        Raises:
            UnavailableError: Redis cannot be reached.
        """
        parts = list(batched(lists, LISTS_AT_ONCE))
        replies = await asyncio.gather(*(self._call(part, 0) for part in parts))
        found: dict[str, Waiting] = {}
        for part, (_, _, *numbers) in zip(parts, replies, strict=True):
            waiting = (Waiting(*map(int, each)) for each in batched(numbers, 3))
            found.update(zip(part, waiting, strict=True))
        return Backlog(found, int(replies[0][1]) if replies else 0)

    async def sample(self, lists: Sequence[str]) -> None:
        """Keep the backlog in the present minute, unless it has one.

        Raises:
            UnavailableError: Redis cannot be reached.
        """
        for part in batched(lists, LISTS_AT_ONCE):
            await self._call(part, KEPT_SECONDS)

    async def _call(self, lists: Sequence[str], kept: int) -> list[int]:
        words = chain.from_iterable((name, names_text((name,))) for name in lists)
        reply: list[int] = await self._connection.script("backlog", MOST_FIELDS, kept, *words)
        return reply


class BacklogSamples:
    """The chore of service processes that takes the samples."""

    def __init__(self, connection: RedisConnection, configuration: Configuration) -> None:
        """The lists are those that chains read, disabled chains included."""
        self._reader = BacklogReader(connection)
        self._configuration = configuration

    async def take(self) -> None:
        """Take the sample of this minute, if no replica has."""
        ingress = lists_of(self._configuration.config).ingress
        await skip_unusable(self._reader.sample(ingress))
