"""Reads Redis for a backup, while the service works.

The promise: every vCon that was accepted before the backup began and has not ended is restored to
at least one place that leads to its end. It may be run again; it is not lost.

Redis has no snapshot that a client could read, so the backup reads for seconds or minutes while
vCons move: from a list to an in-flight hash, to `pc:later`, to `pc:waiting`, back to the list, and
in the end to egress or dead-letter lists. No order of reading these places sees every element, as
the way through them is a circle. What makes it possible are the holds: from when a vCon comes in
or is claimed, and until its run has ended, `pc:holds:{uuid}` has the list (or `run:{chain}|run
id`), at every place of the element. A script changes place and holds in one step. So the holds
say where a vCon has to be, and the lists only add what has no hold: elements that other programs
have pushed and no worker has claimed. Order:

1. `list_reader.py`: what is delayed, waits for another run of its vCon, or is a suspect; then
   every list. An element pushed by another program is in its list, or has been claimed and has a
   hold from then on. Copies of one element in one list share a hold, which ends with the first run
   of them: the places of copies that wait are written down with and without a hold, and
   `wake_waiting.lua` gives them the hold again.
2. `state_reader.py`: all keys that are neither lists nor belong to one vCon.
3. The vCons, each with its holds, checkpoint, attempts and reasons as one script found them at one
   moment (`backup_vcon.lua`), and then its document. A document that is newer than the checkpoint
   means that links run again; an older one would mean that what they did is lost. If the
   checkpoint names another vCon, which a link has put in place of this one, that one is read right
   after, even if it was read before.
4. The holds again, for vCons that did not exist when SCAN passed: those that a link has put in
   place of another, and those that came in since.
5. Finished runs, owners and notes that wait for Postgres. Postgres is read after that: what has
   left Redis is in its snapshot. The other way round both could miss it.

SCAN returns every key that exists from its beginning to its end, and some of them twice.

A restored vCon that had ended between 1 and 3 would run again. `backup_page.lua` therefore marks
the elements of a list that have a hold, while no run of them has begun: if the hold is gone at 3,
a run that began later has ended it, and the restore leaves the element out. An unmarked element
stays, as another program may have queued a vCon again while an earlier run of it was in flight.

In-flight hashes, `pc:waiting`, `pc:suspects` are not restored: their elements have holds, and go
back to the heads of their lists as the same attempts, as when a worker stops. `pc:later` says
which of them are due later. What readers of egress lists have borrowed returns to these lists.

If another program has put a key of another type under `pc:holds:{uuid}`, the vCon is found in its
list or in flight, but may be missed while it moves between these places.

No command takes Redis longer than 5 ms, except reading one large document or freeing memory as
described in docs/data-model.md. Redis executes the commands of one batch without a pause, so
batches are small, too: lists, sets and hashes are read in slices, documents by their size in
memory.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import orjson

from pipeline.media import media
from pipeline.media.bodies import MARK
from pipeline.operator.backup.fingerprints import Fingerprints
from pipeline.operator.backup.format import PartWriter
from pipeline.redis_client import keys
from pipeline.redis_client.client import CommandRefused, RedisConnection
from pipeline.redis_client.driver.batches import ENCODING_ERRORS

SCANNED = 500
"""Keys that one SCAN examines."""
MOST_AT_ONCE = 50
"""vCons of one batch."""
BATCH_BYTES = 200_000
"""Bytes in memory of the documents of one batch: they take Redis about 1 ms."""
UNKNOWN = 10 * BATCH_BYTES
"""The size of a key whose size Redis does not tell: it is read alone."""
JSON = "ReJSON-RL"
NEVER = -1
"""PTTL of a key that stays."""
_PREFIXES = ("vcon:", "pc:holds:", "pc:about:")

type Words = tuple[Any, ...]
type Progress = Callable[[str, int], None]


async def batch(connection: RedisConnection, commands: Sequence[Words]) -> list[Any]:
    """The replies of several commands that are sent together; an error of Redis is one, too."""
    calls = (connection.command(*words) for words in commands)
    return await asyncio.gather(*(_reply(call) for call in calls))


async def _reply(call: Any) -> Any:
    try:
        return await call
    except CommandRefused as error:
        return error


async def scan(connection: RedisConnection, *more: Any) -> AsyncIterator[list[str]]:
    """Every key, some at a time; a few may come twice."""
    cursor = "0"
    while True:
        cursor, found = await connection.command("SCAN", cursor, "COUNT", SCANNED, *more)
        if found:
            yield found
        if str(cursor) == "0":
            return


class VconReader:
    """Reads the vCons; steps 3 and 4 at the head of this file."""

    def __init__(
        self, connection: RedisConnection, sorted_set: str, part: PartWriter, progress: Progress
    ) -> None:
        self._connection = connection
        self._sorted_set = sorted_set
        self._part = part
        self._progress = progress
        self._seen = Fingerprints()
        self._at_once = 1
        self.documents = 0
        self.queued = 0
        """Holds that were read."""

    async def read(self) -> None:
        """Read all of them.

        Raises:
            UnavailableError: Redis cannot be reached.
        """
        for prefixes in (_PREFIXES, ("pc:holds:",)):
            async for found in scan(self._connection):
                uuids = [_uuid(key) for key in found if key.startswith(prefixes)]
                await self._read_all([each for each in uuids if self._seen.add(each)])

    async def _read_all(self, uuids: Sequence[str]) -> None:
        at = 0
        while at < len(uuids):
            some = uuids[at : at + self._at_once]
            at += len(some)
            replaced = await self._read_some(some)
            for each in replaced:
                self._seen.add(each)
                self._part.row("again", each)
                await self._read_some([each])
            self._progress("vCons", self.documents)

    async def _read_some(self, uuids: Sequence[str]) -> list[str]:
        """Read these vCons; returns those that have taken their places."""
        states = await asyncio.gather(*(self._state(each) for each in uuids))
        sizes = await self._sizes(uuids)
        for some in _groups(list(zip(uuids, states, strict=True)), sizes):
            await self._documents(some)
        largest = max(sizes, default=0)
        self._at_once = 1 if largest > BATCH_BYTES else min(2 * self._at_once, MOST_AT_ONCE)
        return [
            other
            for vcon_uuid, state in zip(uuids, states, strict=True)
            for other in _others(vcon_uuid, state)
        ]

    async def _state(self, vcon_uuid: str) -> list[Any]:
        found: list[Any] = await self._connection.script("backup_vcon", vcon_uuid, self._sorted_set)
        return found

    async def _sizes(self, uuids: Sequence[str]) -> list[int]:
        replies = await batch(
            self._connection, [("MEMORY", "USAGE", keys.vcon(each)) for each in uuids]
        )
        return [UNKNOWN if isinstance(each, Exception) else int(each or 0) for each in replies]

    async def _documents(self, some: Sequence[tuple[str, list[Any]]]) -> None:
        commands = [
            ("JSON.GET" if state[0] == JSON else "GET", keys.vcon(vcon_uuid))
            for vcon_uuid, state in some
        ]
        replies = await batch(self._connection, commands)
        for (vcon_uuid, state), text in zip(some, replies, strict=True):
            if text is None and state[0] != "none":  # it has ended meanwhile, and has expired
                state = await self._state(vcon_uuid)  # noqa: PLW2901 -- the newer one
            whole = None if isinstance(text, Exception) else await self._whole(vcon_uuid, text)
            self._write(vcon_uuid, state, whole)

    async def _whole(self, vcon_uuid: str, text: str | None) -> str | bytes | None:
        """The document with its media, which are not in the backup otherwise."""
        if text is None or MARK not in text:
            return text
        encoded = text.encode(errors=ENCODING_ERRORS)
        return await media.installed(self._connection).for_keeping(vcon_uuid, encoded)

    def _write(self, vcon_uuid: str, state: Sequence[Any], text: str | bytes | None) -> None:
        kind, left, score, in_flight, usable, about, told, runs = state
        row = self._part.row
        if text is not None and kind in (JSON, "string"):
            self.documents += 1
            row("document", vcon_uuid, kind, left, text)
        if about:
            row("about", vcon_uuid, *flat(about))
        if score:
            row("score", vcon_uuid, score)
        for run, journal, run_left in _threes(runs):
            row("run", run, journal, run_left)
        for hold, *more in _held(vcon_uuid, in_flight, told):
            self.queued += 1
            row("hold", vcon_uuid, hold, usable, *more)


def _uuid(key: str) -> str:
    return key.removeprefix("vcon:").removeprefix("pc:holds:").removeprefix("pc:about:")


def flat(reply: Any) -> list[Any]:
    """Members, or members and what belongs to them, in either version of the protocol."""
    pairs = list(reply.items() if isinstance(reply, dict) else reply)
    is_paired = bool(pairs) and isinstance(pairs[0], list | tuple)
    return [word for pair in pairs for word in pair] if is_paired else pairs


def _threes(words: Sequence[Any]) -> list[tuple[Any, Any, Any]]:
    return list(zip(words[::3], words[1::3], words[2::3], strict=True))


def _groups[T](items: Sequence[T], sizes: Sequence[int]) -> list[list[T]]:
    """The items in groups of at most `BATCH_BYTES`; a larger one is alone."""
    groups: list[list[T]] = []
    total = BATCH_BYTES + 1
    for item, size in zip(items, sizes, strict=True):
        if total + size > BATCH_BYTES:
            groups.append([])
            total = 0
        groups[-1].append(item)
        total += size
    return groups


def _others(vcon_uuid: str, state: Sequence[Any]) -> list[str]:
    """The vCons that links have put in place of this one, by the checkpoints of its runs."""
    found = []
    for _, journal, _ in _threes(state[7]):
        try:
            other = orjson.loads(journal.encode("utf-8", "surrogateescape"))["vcon_out"]
        except (ValueError, KeyError, TypeError):  # another program's, or without one
            continue
        if isinstance(other, str) and other != vcon_uuid:
            found.append(other)
    return found


def place_of(vcon_uuid: str, hold: str) -> tuple[str, str]:
    """The list of a hold, and the element in it."""
    name, _, run = hold.rpartition("|")
    if hold.startswith(keys.RUN_LIST) and name:
        return name, f"{vcon_uuid}|{run}"
    return hold, vcon_uuid


def _held(vcon_uuid: str, in_flight: str, told: Sequence[Any]) -> list[list[Any]]:
    """For each hold: attempts (with those of a claim), reason, unread, further copies."""
    rows = [list(told[at : at + 5]) for at in range(0, len(told), 5)]
    words = in_flight.split("\n", 3)
    for row in rows:
        if len(words) == 4 and place_of(vcon_uuid, row[0]) == (words[2], words[3]):
            row[1] = _continued(row[1], words[1])
    return rows


def _continued(attempts: str, run: str) -> str:
    """`pc:attempts` of an element that its worker gives back."""
    count, _, rest = attempts.partition("\n")
    number = int(count) if count.isascii() and count.isdigit() else 0
    return f"{number}\n{run}\n{rest[-1:] if rest[-1:] in ('0', '1') else '0'}"
