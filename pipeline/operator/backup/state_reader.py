"""Reads every key that is neither a list nor belongs to one vCon: steps 2 and 5 of a backup.

Small keys are read whole, several in one batch; large ones in slices. A slice of a set or a hash is
not of one moment; what has to agree with something else is read with its vCon.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from pipeline.operator.backup.format import PartWriter
from pipeline.operator.backup.kinds import Treatment, kind_of, names_of
from pipeline.operator.backup.list_reader import ListReader
from pipeline.operator.backup.places import places_in, write_unheld
from pipeline.operator.backup.redis_reader import (
    BATCH_BYTES,
    JSON,
    NEVER,
    UNKNOWN,
    Progress,
    batch,
    flat,
    scan,
)
from pipeline.redis_client.client import CommandRefused, RedisConnection
from pipeline.redis_client.slices import chunks

SLICE = 500
"""Members of a set or a hash that one command reads."""
STRING_SLICE = 1_000_000
"""Bytes of a string that one command reads."""
HEAD = 500
"""Entries at the head of an egress list that are read again after its leases."""
_WHOLE = {
    "string": ("GET", "{}"),
    "hash": ("HGETALL", "{}"),
    "set": ("SMEMBERS", "{}"),
    "zset": ("ZRANGE", "{}", "0", "-1", "WITHSCORES"),
    JSON: ("JSON.GET", "{}"),
}
_SCANS = {"hash": "HSCAN", "set": "SSCAN", "zset": "ZSCAN"}
_PLACES = (Treatment.QUEUED, Treatment.LATER, Treatment.LENT)
_READ = (Treatment.KEEP, *_PLACES)
_OF_A_VCON = {"pc:holds:": "set", "pc:about:": "hash"}


class _Key(NamedTuple):
    name: str
    type: str
    left: int
    size: int = UNKNOWN


class StateReader:
    """Reads the keys; `unreadable` counts those that cannot be, by type."""

    def __init__(self, connection: RedisConnection, part: PartWriter, progress: Progress) -> None:
        self._connection = connection
        self._part = part
        self._progress = progress
        self.keys = 0
        self.unreadable: Counter[str] = Counter()

    async def read(self) -> None:
        """Step 2: read every key with its time to live.

        Raises:
            UnavailableError: Redis cannot be reached.
        """
        async for names in scan(self._connection):
            await self._read_keys([name for name in names if kind_of(name).treatment in _READ])
            others = [name for name in names if kind_of(name).treatment is Treatment.VCON]
            await self._read_keys(others, foreign=True)
            self._progress("keys", self.keys)

    async def read_last(self) -> None:
        """Step 5: what waits for Postgres, such as finished runs and owners.

        Raises:
            UnavailableError: Redis cannot be reached.
        """
        lists = ListReader(self._connection, self._part, self._progress)
        names = names_of(Treatment.LAST)
        for name in names:
            await lists.read_list(name)
        await self._read_keys(names)

    async def _read_keys(self, names: Sequence[str], *, foreign: bool = False) -> None:
        """`foreign`: only those that another program has given another type."""
        asked = [words for name in names for words in (("TYPE", name), ("PTTL", name))]
        replies = await batch(self._connection, asked)
        known = [
            _Key(name, kind, left)
            for name, kind, left in zip(names, replies[::2], replies[1::2], strict=True)
            if kind not in ("none", "list") and not (foreign and _is_a_vcons(name, kind))
        ]
        self.unreadable.update(each.type for each in known if each.type not in _WHOLE)
        await self._read_known([each for each in known if each.type in _WHOLE])

    async def _read_known(self, known: Sequence[_Key]) -> None:
        asked = [("MEMORY", "USAGE", each.name) for each in known]
        sizes = await batch(self._connection, asked)
        sized = [
            each._replace(size=size) if isinstance(size, int) else each
            for each, size in zip(known, sizes, strict=True)
        ]
        total, some = 0, list[_Key]()
        for each in sized:
            if each.size > BATCH_BYTES and each.type != JSON:
                await self._read_slices(each)
                continue
            if some and total + each.size > BATCH_BYTES:
                await self._read_whole(some)
                total, some = 0, []
            some.append(each)
            total += each.size
        if some:
            await self._read_whole(some)

    async def _read_whole(self, some: Sequence[_Key]) -> None:
        asked = [tuple(word.format(each.name) for word in _WHOLE[each.type]) for each in some]
        for each, reply in zip(some, await batch(self._connection, asked), strict=True):
            if reply is None or isinstance(reply, Exception):  # gone, or replaced meanwhile
                continue
            values = [reply] if each.type in ("string", JSON) else flat(reply)
            await self._write(each, [_plain(value) for value in values])
            self._end(each)

    async def _read_slices(self, key: _Key) -> None:
        """Read a large key; its entries are as large as they are on average."""
        try:
            if key.type == "string":
                await self._read_string(key)
            else:
                await self._read_entries(key)
        except CommandRefused:  # another program has replaced it
            return
        self._end(key)

    async def _read_string(self, key: _Key) -> None:
        at, kind = 0, "string"
        length = int(await self._connection.command("STRLEN", key.name))
        while at < length:
            last = at + STRING_SLICE - 1
            piece = await self._connection.command("GETRANGE", key.name, at, last)
            self._part.row(kind, key.name, piece)
            at, kind = last + 1, "append"

    async def _read_entries(self, key: _Key) -> None:
        count = {"hash": "HLEN", "set": "SCARD", "zset": "ZCARD"}[key.type]
        entries = int(await self._connection.command(count, key.name))
        slices = max(1, min(SLICE, entries * BATCH_BYTES // key.size))
        cursor = "0"
        while True:
            words = (_SCANS[key.type], key.name, cursor, "COUNT", slices)
            cursor, found = await self._connection.command(*words)
            await self._write(key, [_plain(value) for value in flat(found)])
            if str(cursor) == "0":
                return

    async def _write(self, key: _Key, values: Sequence[str]) -> None:
        treatment = kind_of(key.name).treatment
        if treatment in _PLACES:
            entries = values[1::2] if key.type == "hash" else values[::2]
            await write_unheld(self._connection, self._part, places_in(key.name, entries))
        if treatment is Treatment.LENT:
            await self._write_returned(key.name)
        if treatment in (Treatment.QUEUED, Treatment.LENT):
            return
        for some in chunks(values, 2 * SLICE):
            self._part.row(key.type, key.name, *some)

    async def _write_returned(self, name: str) -> None:
        """What was lent out, and returned to the head of its list behind the reader of lists."""
        egress = name.removeprefix("pc:lease:")
        with suppress(CommandRefused):
            head = await self._connection.command("LRANGE", egress, 0, HEAD - 1)
            await write_unheld(self._connection, self._part, [(egress, each) for each in head])

    def _end(self, key: _Key) -> None:
        self.keys += 1
        if key.left > NEVER and kind_of(key.name).treatment not in _PLACES:
            self._part.row("expire", key.name, key.left)


def _is_a_vcons(name: str, kind: str) -> bool:
    """Whether such a key is read with its vCon; `pc:attempts:` are read with their elements."""
    wanted = next((each for start, each in _OF_A_VCON.items() if name.startswith(start)), None)
    if name.startswith("vcon:"):
        return kind in (JSON, "string")
    return kind == (wanted or "hash")


def _plain(value: object) -> str:
    return value if isinstance(value, str) else repr(value)
