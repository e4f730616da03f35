"""Writes the rows of a backup into an empty Redis that no service uses yet.

The parts come in the order of the file: keys, vCons with their holds, lists. Each hold is noted in
`pc:restoring:place:{list}` as an element that must get a place; an element of a list that is
placed is taken out of there. What is left in the end was in flight, waiting, delayed or lent out:
it goes to the head of its list, into `pc:later` if that is where it was, or to the end of its
dead-letter list.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from core.errors import InvalidError
from pipeline.media import media
from pipeline.operator.backup.format import Row
from pipeline.operator.backup.kinds import Treatment, kind_of
from pipeline.operator.backup.places import asked_hold
from pipeline.operator.backup.redis_reader import (
    BATCH_BYTES,
    JSON,
    Words,
    batch,
    flat,
    place_of,
    scan,
)
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.driver.batches import ENCODING_ERRORS
from pipeline.redis_client.errors import WrongTypeError

MOST_COMMANDS = 500
"""Commands of one batch."""
LEFT_AT_ONCE = 500
MOST_TERMS = 1000
"""Search terms of one vCon that are completed; more are in the sets of the index already."""
MOST_NAMED = 5
"""Keys that a refusal names."""
_PLACE = "pc:restoring:place:"
_LATER = "pc:restoring:later"
_ADDS = {"string": "SET", "append": "APPEND", "hash": "HSET", "set": "SADD"}


class RedisWriter:
    """Writes rows; `finish` puts what has no place yet into its list."""

    def __init__(self, connection: RedisConnection, sorted_set: str) -> None:
        self._connection = connection
        self._sorted_set = sorted_set
        self._commands: list[Words] = []
        self._bytes = 0
        self._document = ""
        self.returned = 0
        """Elements that went back to their lists."""

    async def write(self, rows: Iterable[Row]) -> None:
        """Write the rows of one part.

        Raises:
            InvalidError: Redis refuses a key.
            UnavailableError: Redis cannot be reached, or has no memory left.
        """
        for kind, *words in rows:
            if kind == "list":
                await self._flush()
                await self._list(words[0], words[1], words[2:])
            elif kind == "document" and words[1] == JSON:
                self._add(kind, await self._stripped(*words))
            else:
                self._add(kind, words)
            if len(self._commands) >= MOST_COMMANDS or self._bytes >= BATCH_BYTES:
                await self._flush()
        await self._flush()

    async def finish(self) -> None:
        """Give the elements that are left a place, and remove the notes."""
        async for names in scan(self._connection, "MATCH", f"{_PLACE}*"):
            for name in names:
                await self._place_left(name)
        await self._connection.command("UNLINK", _LATER)

    async def _stripped(self, vcon_uuid: str, type_: str, left: str, text: str) -> list[str]:
        """The words of a document, its media written to their store (MEDIA_STORE)."""
        encoded = text.encode(errors=ENCODING_ERRORS)
        stripped = await media.installed(self._connection).stripped(vcon_uuid, encoded)
        return [vcon_uuid, type_, left, stripped.decode(errors=ENCODING_ERRORS)]

    def _send(self, *words: Any) -> None:
        self._commands.append(words)
        self._bytes += sum(len(word) for word in words if isinstance(word, str))

    def _add(self, kind: str, words: Sequence[str]) -> None:
        key, rest = words[0], words[1:]
        if kind in _ADDS:
            self._send(_ADDS[kind], key, *rest)
        elif kind == "zset":
            pairs = [word for pair in zip(rest[1::2], rest[::2], strict=True) for word in pair]
            self._send("ZADD", _LATER if key == keys.LATER else key, *pairs)
        elif kind == JSON:
            self._send("JSON.SET", key, ".", *rest)
        elif kind == "expire":
            self._send("PEXPIRE", key, max(int(rest[0]), 1))
        elif kind == "place":
            self._send("SADD", _PLACE + key, *rest)
        else:
            self._add_of_a_vcon(kind, key, rest)

    def _about(self, vcon_uuid: str, about: dict[str, str]) -> None:
        if kept := {name: each for name, each in about.items() if not _is_custody(name)}:
            self._send("HSET", keys.about(vcon_uuid), *flat(kept))
        if self._document == vcon_uuid:
            self._index(vcon_uuid, about.get("index", ""))

    def _add_of_a_vcon(self, kind: str, key: str, rest: Sequence[str]) -> None:
        if kind == "again":  # it may have come before; the later time is valid
            self._send("DEL", keys.about(key), keys.holds(key))
        elif kind == "document":
            type_, left, text = rest
            self._document = key
            path = (".",) if type_ == JSON else ()
            self._send("JSON.SET" if path else "SET", keys.vcon(key), *path, text)
            self._expire(keys.vcon(key), left)
        elif kind == "about":
            self._about(key, dict(zip(rest[::2], rest[1::2], strict=True)))
        elif kind == "score":
            self._send("ZADD", self._sorted_set, rest[0], key)
        elif kind == "run":
            self._send("SET", keys.run(key), rest[0])
            self._expire(keys.run(key), rest[1])
        elif kind == "hold":
            self._hold(key, *rest)

    def _expire(self, key: str, left: str) -> None:
        if int(left) >= 0:
            self._send("PEXPIRE", key, max(int(left), 1))

    def _index(self, vcon_uuid: str, text: str) -> None:
        """The sets of the index were read earlier than the vCon, and may lack it."""
        try:
            terms = orjson.loads(text)
        except ValueError:
            return
        if isinstance(terms, list) and len(terms) <= MOST_TERMS:
            for term in terms:
                if isinstance(term, str) and term.startswith(("tel:", "mailto:", "name:")):
                    self._send("SADD", term, vcon_uuid)

    def _hold(
        self, vcon_uuid: str, hold: str, usable: str, attempts: str, reason: str, *copies: str
    ) -> None:
        name, element = place_of(vcon_uuid, hold)
        unread, again = copies
        if usable == "1":
            self._send("SADD", keys.holds(vcon_uuid), hold)
        if attempts:
            self._send("HSET", f"pc:attempts:{name}", element, attempts)
        if reason:
            self._send("HSET", keys.reasons(hold), vcon_uuid, reason)
        if unread == "1":
            self._send("SADD", keys.unread(hold), vcon_uuid)
        if again:
            self._send("HSET", keys.again(hold), vcon_uuid, again)
        self._send("SADD", _PLACE + name, element)

    async def _flush(self) -> None:
        commands, self._commands, self._bytes = self._commands, [], 0
        for words, reply in zip(commands, await batch(self._connection, commands), strict=True):
            # a name that another program had given another type keeps it
            if isinstance(reply, Exception) and not isinstance(reply, WrongTypeError):
                msg = f"Redis refuses {words[0]} of {str(words[1])[:200]}: {str(reply)[:200]}"
                raise InvalidError(f"{msg}; empty Redis before you restore again")

    async def _list(self, name: str, flags: str, entries: Sequence[str]) -> None:
        """Put a page before what is in the list already, without the entries that have ended."""
        marked = [entry for entry, flag in zip(entries, flags, strict=False) if flag == "1"]
        asked = [asked_hold(name, entry) for entry in marked]
        replies = await batch(self._connection, asked)
        ended = {entry for entry, held in zip(marked, replies, strict=True) if held == 0}
        kept = [
            entry
            for at, entry in enumerate(entries)
            if not (entry in ended and flags[at : at + 1] == "1")
        ]
        if kept:
            placing = [("LPUSH", name, *reversed(kept)), ("SREM", _PLACE + name, *kept)]
            await batch(self._connection, placing)

    async def _place_left(self, key: str) -> None:
        name = key.removeprefix(_PLACE)
        push = "RPUSH" if name.startswith(keys.DEAD_LETTERS) else "LPUSH"
        while elements := await self._connection.command("SPOP", key, LEFT_AT_ONCE):
            places = [f"{name}\n{element}" for element in elements]
            asked = [("ZSCORE", _LATER, place) for place in places]
            due = await batch(self._connection, asked)
            delayed = [
                word
                for place, score in zip(places, due, strict=True)
                if score is not None
                for word in (score, place)
            ]
            queued = [each for each, score in zip(elements, due, strict=True) if score is None]
            if delayed:
                await self._connection.command("ZADD", keys.LATER, *delayed)
            if queued:
                await self._push(push, name, queued)
            self.returned += len(elements)

    async def _push(self, push: str, name: str, elements: Sequence[str]) -> None:
        try:
            await self._connection.command(push, name, *elements)
        except WrongTypeError:  # as `put_back.lua` does
            places = [word for each in elements for word in ("0", f"{name}\n{each}")]
            await self._connection.command("ZADD", keys.LATER, *places)


async def check_empty(connection: RedisConnection) -> list[str]:
    """Names of keys, a few at most, for which this Redis is no target of a restore."""
    found: list[str] = []
    async for names in scan(connection):
        found += [name for name in names if not _may_stay(name)]
        if len(found) >= MOST_NAMED:
            break
    return sorted(found)[:MOST_NAMED]


def _may_stay(name: str) -> bool:
    is_alive = name.startswith(("pc:worker:", "pc:process:"))
    return kind_of(name).treatment is Treatment.LEFT_OUT and not is_alive


def _is_custody(name: str) -> bool:
    """Whether a field of `pc:about` names rows of custody, which the new database may not have."""
    return name == "version" or name.startswith("custody:")
