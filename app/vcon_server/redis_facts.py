"""Reads what is in a Redis that vcon-server uses, by commands that change nothing; no scripts.

Keys and members are read by SCAN and ZSCAN in slices, at most `most` of each, so that Redis serves
other clients in between and the reading ends.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from core.errors import PatchcordError
from pipeline.admin.redis_checks import has_json, losses
from pipeline.redis_client import keys
from pipeline.redis_client.client import CommandRefused, RedisConnection
from schemas.uuids import canonical_uuid

CHUNK = 1000
"""Keys or members of one command."""
MOST_LISTS = 1000
"""Lists of which the name is kept; of vcon-server's there are a few dozen."""
SAMPLE = 500
"""Elements at the head of a list that are looked at."""
DOCUMENTS = ("ReJSON-RL",)
INDEX = ("tel:", "mailto:", "name:")
CONTEXT = "context:"
VCON = "vcon:"
HELD = {"pc:inflight": "HLEN", "pc:later": "ZCARD", "pc:suspects": "LLEN", "pc:waiting": "LLEN"}
"""Where this service holds elements outside of the lists, and the command that counts them."""

type Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ListFacts:
    """A list: its length, and how many of its first elements are no uuid or have no vCon."""

    length: int
    sampled: int = 0
    no_uuid: int = 0
    without_vcon: int = 0


@dataclass(slots=True)
class RedisFacts:
    """What was found. `error` says why nothing was, if Redis could not be asked."""

    error: str = ""
    has_json: bool = True
    losses: Sequence[tuple[str, str, str]] = ()
    total: int = 0
    seen: int = 0
    types: Counter[str] = field(default_factory=Counter)
    """vCons by the type of their key."""
    index: int = 0
    index_expiring: int = 0
    contexts: int = 0
    own: int = 0
    """Keys of this service."""
    held: Counter[str] = field(default_factory=Counter)
    """Elements that this service holds outside of the lists, by where it holds them."""
    lists: dict[str, ListFacts] = field(default_factory=dict)
    more_lists: int = 0
    wrong_types: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Keys by name, with their type and the one that both servers need."""
    members: Counter[str] = field(default_factory=Counter)
    """Members of the sorted set: `bare`, `prefixed`, `other`, and `expired` ones among them."""
    members_total: int = 0

    @property
    def is_partial(self) -> bool:
        """True if there are more keys or members than were read."""
        return self.seen < self.total or self.members_seen < self.members_total

    @property
    def members_seen(self) -> int:
        """The members of the sorted set that were read."""
        return sum(self.members[each] for each in ("bare", "prefixed", "other"))


async def gathered(
    redis: RedisConnection,
    configured: Collection[str],
    sorted_set: str,
    *,
    most: int,
    progress: Progress = lambda _seen, _total: None,
) -> RedisFacts:
    """Read Redis. `configured`: the lists of config.yml; `most`: keys, and members; 0: all."""
    facts = RedisFacts()
    try:
        facts.has_json, facts.losses = await has_json(redis), await losses(redis)
        facts.total = int(await redis.command("DBSIZE"))
        await _Reader(redis, facts, configured, sorted_set).read(most or sys.maxsize, progress)
    except (PatchcordError, CommandRefused) as error:
        facts.error = str(error)
    return facts


class _Reader:
    def __init__(
        self,
        redis: RedisConnection,
        facts: RedisFacts,
        configured: Collection[str],
        sorted_set: str,
    ) -> None:
        self._redis = redis
        self._facts = facts
        self._configured = configured
        self._sorted_set = sorted_set

    async def read(self, most: int, progress: Progress) -> None:
        """Keys that SCAN returns twice, while Redis resizes its table, count twice."""
        facts = self._facts
        async for names in self._scan():
            part = names[: most - facts.seen]
            await self._sort(part)
            facts.seen += len(part)
            progress(facts.seen, facts.total)
            if facts.seen == most:
                break
        else:
            facts.total = facts.seen
        for name in list(facts.lists):
            facts.lists[name] = await self._list(name)
        await self._members(most)

    async def _scan(self) -> AsyncIterator[list[str]]:
        cursor = None
        while cursor != "0":
            cursor, names = await self._redis.command("SCAN", cursor or "0", "COUNT", CHUNK)
            yield names

    async def _all(self, command: str, names: Iterable[str]) -> list[str]:
        """The replies to one command for each key, in one round trip."""
        return await asyncio.gather(*(self._redis.command(command, name) for name in names))

    async def _sort(self, names: Sequence[str]) -> None:
        types = await self._all("TYPE", names)
        index = [name for name in names if name.startswith(INDEX)]
        self._facts.index += len(index)
        self._facts.index_expiring += sum(int(each) >= 0 for each in await self._all("TTL", index))
        for name, kind in zip(names, types, strict=True):
            self._sort_one(name, kind)
        await self._count_held([name for name in names if name.startswith(tuple(HELD))])

    async def _count_held(self, names: Sequence[str]) -> None:
        for name in names:
            where = ":".join(name.split(":")[:2])
            if where in HELD and name not in self._facts.wrong_types:
                self._facts.held[where] += int(await self._redis.command(HELD[where], name))

    def _sort_one(self, name: str, kind: str) -> None:
        facts = self._facts
        if name.startswith(VCON):
            facts.types[kind] += 1
        elif name.startswith("pc:"):
            facts.own += 1
        elif name.startswith(CONTEXT):
            facts.contexts += 1
        elif kind == "list" and not name.startswith(INDEX):
            self._keep(name)
        wanted = self._wanted(name)
        if wanted and kind not in (*wanted, "none"):
            facts.wrong_types[name] = kind, wanted[0]

    def _keep(self, name: str) -> None:
        is_known = name in self._configured or name.startswith(keys.DEAD_LETTERS)
        if is_known or len(self._facts.lists) < MOST_LISTS:
            self._facts.lists[name] = ListFacts(0)
        else:
            self._facts.more_lists += 1

    def _wanted(self, name: str) -> tuple[str, ...]:
        """The types that this service can use under a name; empty for any."""
        if own := keys.own_type(name):
            return (own,)
        if name.startswith(VCON):
            return (*DOCUMENTS, "string")
        if name.startswith(INDEX):
            return ("set",)
        if name == self._sorted_set:
            return ("zset",)
        is_list = name in self._configured or name.startswith((keys.DEAD_LETTERS, CONTEXT))
        return ("list",) if is_list else ()

    async def _list(self, name: str) -> ListFacts:
        length = int(await self._redis.command("LLEN", name))
        elements = await self._redis.command("LRANGE", name, 0, SAMPLE - 1)
        uuids = [each for each in elements if canonical_uuid(each)]
        there = await self._all("EXISTS", [keys.vcon(each) for each in uuids])
        missing = sum(not int(each) for each in there)
        return ListFacts(length, len(elements), len(elements) - len(uuids), missing)

    async def _members(self, most: int) -> None:
        facts, cursor = self._facts, None
        if self._sorted_set in facts.wrong_types:
            return
        facts.members_total = int(await self._redis.command("ZCARD", self._sorted_set))
        while cursor != "0" and facts.members_seen < most:
            words = ("ZSCAN", self._sorted_set, cursor or "0", "COUNT", CHUNK)
            cursor, pairs = await self._redis.command(*words)
            await self._count(pairs[::2])

    async def _count(self, members: Sequence[str]) -> None:
        uuids = [member.removeprefix(VCON) for member in members]
        there = await self._all("EXISTS", [keys.vcon(uuid) for uuid in uuids])
        for member, uuid, exists in zip(members, uuids, there, strict=True):
            kind = "prefixed" if member != uuid else "bare"
            self._facts.members[kind if canonical_uuid(uuid) else "other"] += 1
            self._facts.members["expired"] += not int(exists)
