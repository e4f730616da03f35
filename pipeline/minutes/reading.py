"""Reading the minutes of the last hour back from Redis."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core.errors import UnusableKeyError
from pipeline.minutes.fields import MICROSECONDS, MOST_FIELDS, Field
from pipeline.minutes.histogram import Histogram
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection

HOUR = 60
"""Minutes that are read at most, besides the present one."""
LARGEST = 3 * MOST_FIELDS
"""Fields of a hash that is read; a larger one is another program's."""
SETTLED = 2
"""Minutes after which a minute no longer changes: a process counts within seconds."""

type Names = tuple[str, ...]


@dataclass(slots=True)
class Minute:
    """What one minute has counted, by family, names and outcome.

    `durations` has the families `run`, `link` and `storage`; `numbers` has `partner`, and the
    samples `waiting`, `delayed` and `in_flight` with the outcome `-`.
    """

    number: int
    durations: dict[str, dict[Names, dict[str, Histogram]]] = field(default_factory=dict)
    numbers: dict[str, dict[Names, dict[str, int]]] = field(default_factory=dict)

    def outcomes(self, family: str, *names: str) -> Mapping[str, Histogram]:
        """The durations of one subject by outcome."""
        return self.durations.get(family, {}).get(names, {})

    def sample(self, what: str, name: str) -> int | None:
        """The sample of a list at the beginning of the minute; None without one."""
        return self.numbers.get(what, {}).get((name,), {}).get("-")


@dataclass(frozen=True, slots=True)
class Hour:
    """The minutes, oldest first, the present one last. `seconds`: how far that one is."""

    minutes: Sequence[Minute]
    seconds: float

    @property
    def past(self) -> Sequence[Minute]:
        """The minutes that are over."""
        return self.minutes[:-1]


def read_minute(number: int, fields: Mapping[str, str]) -> Minute:
    """A minute from its hash; what is no counter is left out."""
    minute = Minute(number)
    for text, value in fields.items():
        counter = Field.read(text)
        if counter is not None and (amount := _whole(value)) is not None:
            _add(minute, counter, amount)
    return minute


def _add(minute: Minute, counter: Field, amount: int) -> None:
    family, outcome, part, names = counter
    bound = counter.bound
    if bound is None and part != MICROSECONDS:
        numbers = minute.numbers.setdefault(family, {}).setdefault(names, {})
        numbers[outcome] = numbers.get(outcome, 0) + amount
        return
    outcomes = minute.durations.setdefault(family, {}).setdefault(names, {})
    durations = outcomes.setdefault(outcome, Histogram())
    if bound is None:
        durations.seconds += amount / 1e6
    else:
        durations.buckets[bound] = durations.buckets.get(bound, 0) + amount


def _whole(value: str) -> int | None:
    """The number of a counter; None for what another program has written there."""
    return int(value) if len(value) < 20 and value.isdecimal() else None


class MinuteReader:
    """Reads the last hour; minutes that no longer change are read once."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection
        self._known: dict[int, Minute] = {}

    async def hour(self, minutes: int = HOUR) -> Hour:
        """The present minute and so many before it, by Redis' clock; missing ones are empty.

        Raises:
            UnavailableError: Redis cannot be reached.
        """
        seconds, micros = await self._connection.command("TIME")
        now, seconds = divmod(int(seconds) + int(micros) / 1e6, 60)
        numbers = range(int(now) - min(minutes, HOUR), int(now) + 1)
        found = await asyncio.gather(*map(self._minute, numbers))
        last = numbers[-1] - SETTLED
        self._known = {each.number: each for each in found if each.number < last} | {
            number: each for number, each in self._known.items() if last - HOUR <= number < last
        }
        return Hour(found, seconds)

    async def _minute(self, number: int) -> Minute:
        if number in self._known:
            return self._known[number]
        key = keys.minute(number)
        try:
            size = await self._connection.command("HLEN", key)
            if not 0 < size <= LARGEST:
                return Minute(number)
            fields = await self._connection.command("HGETALL", key)
        except UnusableKeyError:  # another program has written a key of another type there
            return Minute(number)
        if not isinstance(fields, dict):
            fields = dict(zip(fields[::2], fields[1::2], strict=True))
        return read_minute(number, fields)
