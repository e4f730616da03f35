"""The index of vCons in Redis: by time and by party, and the removal of a vCon."""

import contextlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from core.errors import BusyError, InvalidError, UnavailableError, UnusableKeyError
from core.observability.storable_text import storable_json
from pipeline.admin.index_members import index_members
from pipeline.custody.places import Places
from pipeline.media import media
from pipeline.media.deletion import MediaDeletion
from pipeline.redis_client import keys
from pipeline.redis_client.client import CommandRefused, RedisConnection
from pipeline.redis_client.slices import chunks, find_all, find_first, members
from pipeline.redis_client.staging import Trash
from schemas.vcon_page import VconPage

COPIES = 100
"""Queue entries that one script call removes."""
ATTEMPTS = 20
PROCESSED, MOVED, WAS_LARGE = -1, -2, 2

type Copy = tuple[str, str, int | str]
"""A list, an element of it, and its position; empty where that is not known."""


class VconRemoval:
    """Removes a vCon: the document, its index entries, queue entries and requested runs.

    `delete.lua` does it in one call. It gets the positions of the queue entries, since lists are
    too long for a script to search. If an entry has moved far meanwhile, the script changes
    nothing, and the positions are looked up again.
    """

    def __init__(
        self,
        connection: RedisConnection,
        sorted_set: str,
        *,
        run_expiry: int,
        places: Places | None = None,
    ) -> None:
        """`sorted_set`: the index by time. `run_expiry`: seconds that a cancelled run stays.

        `places` ends the custody of the vCon, before Redis forgets it.
        """
        self._places = places or Places(connection)
        self._connection = connection
        self._sorted_set = sorted_set
        self._run_expiry = run_expiry

    async def remove(self, vcon_uuid: str, lists: Sequence[str]) -> bool:
        """Remove it; True if anything of it was in Redis.

        Raises:
            BusyError: while it is being processed, or moved from list to list.
            UnavailableError: Redis or Postgres cannot be reached.
        """
        was_queued = False
        if not await self._connection.command("HEXISTS", keys.LOCKS, vcon_uuid):
            await self._places.erase(vcon_uuid)
        for _ in range(ATTEMPTS):
            state = await self._try(vcon_uuid, lists)
            if state == WAS_LARGE:
                with contextlib.suppress(UnavailableError):  # `Trash` is emptied later
                    await Trash(self._connection).empty()
            if state not in (PROCESSED, MOVED):
                return bool(state) or was_queued
            if state == PROCESSED:
                break
            was_queued = True
        msg = f"vCon {vcon_uuid} is being processed; try again later"
        raise BusyError(msg)

    async def _try(self, vcon_uuid: str, lists: Sequence[str]) -> int:
        if await self._connection.command("HEXISTS", keys.LOCKS, vcon_uuid):
            return PROCESSED
        copies = await self._copies(vcon_uuid, lists)
        if not _at_once(copies):
            return await self._thin_out(vcon_uuid, copies)
        return await self._script(vcon_uuid, lists, copies, is_all=True)

    async def _thin_out(self, vcon_uuid: str, copies: Sequence[Copy]) -> int:
        """Remove queue entries; entries that a removal has moved are left for the next attempt."""
        for part in chunks(copies, COPIES):
            if await self._script(vcon_uuid, (), part, is_all=False) == PROCESSED:
                return PROCESSED
        return MOVED

    async def _script(
        self, vcon_uuid: str, lists: Sequence[str], copies: Sequence[Copy], *, is_all: bool
    ) -> int:
        now = datetime.now(UTC).isoformat()
        about = (vcon_uuid, self._sorted_set, now, self._run_expiry, int(is_all))
        words = [word for copy in copies for word in copy]
        return int(await self._connection.script("delete", *about, len(lists), *lists, *words))

    async def _copies(self, vcon_uuid: str, lists: Sequence[str]) -> list[Copy]:
        elements: dict[str, list[str]] = {name: [vcon_uuid] for name in lists}
        async for holds in members(self._connection, keys.holds(vcon_uuid)):
            for hold in holds:
                name, _, run = hold.rpartition("|")
                if name.startswith(keys.RUN_LIST):
                    elements.setdefault(name, []).append(f"{vcon_uuid}|{run}")
                else:
                    elements.setdefault(hold, [vcon_uuid])
        copies: list[Copy] = []
        for name, each in elements.items():
            copies += [(name, run, "") for run in each if run != vcon_uuid]
            for place in (name, keys.suspects(name)):
                with contextlib.suppress(UnusableKeyError):  # it cannot hold the vCon
                    copies += await self._found(place, each)
        return copies

    async def _found(self, name: str, elements: Sequence[str]) -> list[Copy]:
        """The positions of these; a single one is looked up again, since the search takes time."""
        found: list[Copy] = []
        for some in chunks(elements, COPIES):
            positions = await find_all(self._connection, name, some)
            found += [(name, each, at) for each, places in positions.items() for at in places]
        if len(found) == 1:
            _, element, position = found[0]
            near = await find_first(self._connection, name, [element], int(position))
            found = [(name, element, at) for at in near.values()]
        return found


def _at_once(copies: Sequence[Copy]) -> bool:
    """True if one call can remove all: each removal may move other entries of the same list."""
    places = [(name, element) for name, element, position in copies if position != ""]
    return len(copies) <= COPIES and len(places) == len(set(places))


CHUNK = 500
"""vCons of one script call, so that other clients of Redis are not held up."""
REAPED = 50
"""vCons whose index entries one script call checks, which takes longer for each."""
SEARCH_CALLS = 1000
"""Script calls for one page of search results at most; it may have fewer than asked for then."""

_CURSOR = re.compile(r"(-?[0-9.]+(?:e[-+]?[0-9]+)?)~([0-9]{1,9})", re.ASCII)
_SEARCH_CURSOR = re.compile(r"(tel|mailto|name)~([0-9]{1,19})~(.{0,200})", re.ASCII)


@dataclass(frozen=True, slots=True)
class SearchPosition:
    """Where a page of search results begins.

    The members of `term` are read by `SSCAN` from the cursor `scan`; of the members at that cursor,
    those up to `after` have been listed.
    """

    term: str
    scan: str = "0"
    after: str = ""

    def cursor(self) -> str:
        """The same as text."""
        return f"{self.term.partition(':')[0]}~{self.scan}~{self.after}"


class VconIndex:
    """The sorted set of all vCons and the search sets, as vcon-server has them."""

    def __init__(
        self,
        connection: RedisConnection,
        sorted_set: str,
        *,
        run_expiry: int,
        places: Places | None = None,
    ) -> None:
        """`sorted_set`: its name. `run_expiry`: seconds that a cancelled run stays in Redis.

        `places` ends the custody of vCons that are removed.
        """
        self._connection = connection
        self._sorted_set = sorted_set
        self._removal = VconRemoval(connection, sorted_set, run_expiry=run_expiry, places=places)
        self._media = MediaDeletion(connection, media.installed(connection))
        self._audited = "0"

    async def page(
        self, since: float | None, until: float | None, limit: int, cursor: str | None
    ) -> VconPage:
        """Uuids by `created_at` (epoch seconds), newest first; only of vCons in Redis.

        A page begins where the one before ended, even if vCons were added or removed meanwhile.

        Raises:
            InvalidError: for a cursor that is none.
        """
        newest, skip = _position(cursor) if cursor else (_bound(until, "+inf"), "0")
        score, ties, *uuids = await self._connection.script(
            "page", self._sorted_set, newest, _bound(since, "-inf"), skip, limit
        )
        return VconPage(uuids, f"{score}~{ties}" if score else None)

    async def numbered(
        self, page: int, size: int, since: float | None, until: float | None
    ) -> list[str]:
        """The uuids of page number `page`, from 1, newest first, as vcon-server counts pages.

        Whole seconds count: everything of the second of `since` and of that of `until` is within.
        Members of expired vCons are listed until they are reaped, since a storage may have these.
        """
        latest = None if until is None else math.nextafter(math.floor(until) + 1, -math.inf)
        earliest = None if since is None else float(math.floor(since))
        bounds = _bound(latest, "+inf"), _bound(earliest, "-inf")
        found: list[str] = []
        is_more = True
        while is_more and len(found) < size:
            start = (page - 1) * size + len(found)
            limit = min(CHUNK, size - len(found))
            is_more, _, *uuids = await self._connection.script(
                "page", self._sorted_set, *bounds, start, limit, "all"
            )
            found += uuids
        return list(dict.fromkeys(found))  # one may move from slice to slice meanwhile

    async def search(self, terms: Sequence[str], limit: int, cursor: str | None) -> VconPage:
        """Uuids of the vCons for which every term holds; a term is `tel:...` or the like.

        A vCon that is in Redis from the first page to the last is listed; it may be listed twice if
        others are added or removed meanwhile.

        Raises:
            InvalidError: for a cursor that is none, or that of a search for something else.
        """
        at = _searched(cursor, terms) if cursor else SearchPosition(await self._smallest(terms))
        others = [each for each in terms if each != at.term]
        found: list[str] = []
        for _ in range(SEARCH_CALLS):
            scan, *hits = await self._connection.script("search", at.scan, CHUNK, at.term, *others)
            fresh = sorted(each for each in set(hits) if each > at.after)
            room = limit - len(found)
            found += fresh[:room]
            if len(fresh) > room:
                at = replace(at, after=found[-1])
                break
            at = replace(at, scan=scan, after="")
            if scan == "0" or len(fresh) == room:
                break
        is_over = (at.scan, at.after) == ("0", "")
        return VconPage(sorted(set(found)), None if is_over else at.cursor())

    async def _smallest(self, terms: Sequence[str]) -> str:
        sizes = [int(await self._connection.command("SCARD", each)) for each in terms]
        return min(zip(sizes, terms, strict=True))[1]

    async def present(self, uuids: Sequence[str]) -> set[str]:
        """Those of these vCons that are in Redis."""
        here: set[str] = set()
        for some in chunks(uuids, CHUNK):
            found = await self._connection.script("present", *map(keys.vcon, some))
            here.update(each for each, there in zip(some, found, strict=True) if there)
        return here

    async def delete(self, vcon_uuid: str, lists: Sequence[str]) -> bool:
        """Remove the document, its index and queue entries; True if anything existed.

        Runs that wait for it are cancelled. Of a vCon that vcon-server has written the search sets
        are known from the document only.

        Raises:
            BusyError: while it is being processed.
        """
        terms: Sequence[str] = ()
        with contextlib.suppress(UnusableKeyError, CommandRefused):
            members = await index_members(self._connection, vcon_uuid)
            terms = members.terms if members else ()
        bodies = await self._media.find(vcon_uuid)
        was_there = await self._removal.remove(vcon_uuid, lists)
        await self._media.remove(vcon_uuid, bodies)
        for some in chunks(terms, CHUNK):
            await self._connection.script("unindex", vcon_uuid, *some)
        return was_there

    async def erase_media(self, vcon_uuid: str) -> None:
        """Remove the media that `delete` has left; see `MediaDeletion.erase`."""
        await self._media.erase(vcon_uuid)

    async def note_removed(self, vcon_uuid: str, storages: Sequence[str]) -> None:
        """Note for the index in Postgres that Redis and these storages no longer have a vCon."""
        note = storable_json({"removed": list(storages)}).decode()
        with contextlib.suppress(UnavailableError, CommandRefused):  # the vCon is removed
            await self._connection.script("unstored", vcon_uuid, note)

    async def reap(self) -> None:
        """Delete the index entries of expired vCons.

        The time of expiry is known for vCons that `Retention` released. For others each call checks
        the next part of the whole index.
        """
        self._audited, members = await self._connection.command(
            "ZSCAN", self._sorted_set, self._audited, "COUNT", CHUNK
        )
        uuids = [member.removeprefix("vcon:") for member in members[::2]]
        for some in chunks(uuids, REAPED):
            await self._connection.script("reap", self._sorted_set, 0, *some)
        while await self._connection.script("reap", self._sorted_set, REAPED) == REAPED:
            pass


def _bound(seconds: float | None, open_end: str) -> str:
    return open_end if seconds is None else repr(seconds)


def _searched(cursor: str, terms: Sequence[str]) -> SearchPosition:
    match = _SEARCH_CURSOR.fullmatch(cursor)
    term = match and next((each for each in terms if each.startswith(f"{match[1]}:")), None)
    if match is None or term is None:
        msg = "cursor: use the cursor of an earlier page of the same search as it is"
        raise InvalidError(msg)
    return SearchPosition(term, match[2], match[3])


def _position(cursor: str) -> tuple[str, str]:
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        msg = "cursor: use the cursor of an earlier page as it is"
        raise InvalidError(msg)
    return match[1], match[2]
