"""Reads lists of any length, page by page from the tail, while they change.

Entries that workers take at the head do not move the others. Entries that come at the tail move
the next page, so that its last entries have been read already: pages overlap, and what the page
before had is dropped where the two agree. If they do not agree, the entries of the page are
written all the same: an entry may be restored twice, but none is missed. If entries were taken out
in between, older ones have moved past the reader by less than the overlap, or the list is read
again.
"""

from collections.abc import Sequence
from contextlib import suppress

from pipeline.operator.backup.fingerprints import Fingerprints
from pipeline.operator.backup.format import PartWriter
from pipeline.operator.backup.kinds import Treatment, kind_of
from pipeline.operator.backup.places import WritePlaces, places_in, write_places, write_unheld
from pipeline.operator.backup.redis_reader import NEVER, Progress, batch, flat, scan
from pipeline.redis_client import keys
from pipeline.redis_client.client import CommandRefused, RedisConnection

PAGE = 300
"""Entries of one page at most; the script looks at four keys for each."""
SMALLEST_PAGE = 5
PAGE_BYTES = 300_000
READINGS = 3
"""Times that one list is read, if it moves too far."""
_KEPT = (Treatment.KEEP, Treatment.VCON, Treatment.LATER, Treatment.LENT)
"""Of the last three kinds no key is a list, but for those of other programs."""


class ListReader:
    """Step 1 of `redis_reader.py`."""

    def __init__(self, connection: RedisConnection, part: PartWriter, progress: Progress) -> None:
        self._connection = connection
        self._part = part
        self._progress = progress
        self._seen = Fingerprints()
        self._entries = 0

    async def read(self) -> None:
        """Read what waits, then every list that is kept.

        Raises:
            UnavailableError: Redis cannot be reached.
        """
        async for names in scan(self._connection, "TYPE", "list"):
            for name in names:
                if kind_of(name).treatment is Treatment.QUEUED:
                    await self.read_list(name, into=write_places)
        await self._read_later()
        async for names in scan(self._connection, "TYPE", "list"):
            for name in names:
                treatment = kind_of(name).treatment
                if treatment in _KEPT and self._seen.add(name):
                    await self.read_list(name)
                elif treatment is Treatment.QUEUED:
                    await self.read_list(name, into=write_unheld)

    async def _read_later(self) -> None:
        cursor = "0"
        with suppress(CommandRefused):  # another program has replaced it
            while True:
                words = ("ZSCAN", keys.LATER, cursor, "COUNT", PAGE)
                cursor, found = await self._connection.command(*words)
                places = places_in(keys.LATER, flat(found)[::2])
                await write_places(self._connection, self._part, places)
                if str(cursor) == "0":
                    return

    async def read_list(self, name: str, into: WritePlaces | None = None) -> None:
        """Read one list; `into` takes elements that belong into other lists."""
        asked = [("MEMORY", "USAGE", name), ("LLEN", name), ("PTTL", name)]
        memory, length, left = await batch(self._connection, asked)
        if isinstance(length, Exception):  # another program has replaced the list
            return
        page = _page(memory, length)
        for _ in range(READINGS):
            if await self._read_pages(name, page, into):
                break
        if isinstance(left, int) and left > NEVER and not into:
            self._part.row("expire", name, left)

    async def _read_pages(self, name: str, page: int, into: WritePlaces | None) -> bool:
        """Read all pages; False if the list has moved too far meanwhile."""
        last, before = -1, list[str]()
        overlap = page // 6
        while True:
            try:
                flags, *found = await self._connection.script(
                    "backup_page", name, last - page + 1, last
                )
            except CommandRefused:
                return True
            if before and overlap and found and set(before).isdisjoint(found):
                return False
            if fresh := len(found) - known(before, found):
                await self._write(name, flags[:fresh], found[:fresh], into)
            if len(found) < page:
                return True
            before, last = found, last - page + overlap

    async def _write(
        self, name: str, flags: str, entries: Sequence[str], into: WritePlaces | None
    ) -> None:
        if into:
            await into(self._connection, self._part, places_in(name, entries))
        else:
            self._part.row("list", name, flags, *entries)
        self._entries += len(entries)
        self._progress("list entries", self._entries)


def _page(memory: object, length: int) -> int:
    """Entries of one page, by the size of the list."""
    if not isinstance(memory, int) or not length:
        return SMALLEST_PAGE if length else PAGE
    return max(SMALLEST_PAGE, min(PAGE, PAGE_BYTES * length // max(memory, 1)))


def known(before: Sequence[str], page: Sequence[str]) -> int:
    """How many entries at the end of a page the page before it began with."""
    entries = set(before)
    if before and len(entries) == len(before) and entries.issuperset(page):
        return len(page)
    for count in range(1, min(len(before), len(page)) + 1):
        if page[len(page) - count :] == before[:count]:
            return count
    return 0
