"""Taking a vCon out of Redis: the document, its index, its queue entries and its requested runs.

`delete.lua` does it in one step. It is told where the queue entries stand, since lists are too long
to be looked through by a script. An entry that has moved far in the meantime makes it change
nothing, and the entries are looked for once more.
"""

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime

from core.errors import ConflictError, UnavailableError, UnusableKeyError
from pipeline import keys
from pipeline.chunks import chunks, members
from pipeline.connection import RedisConnection
from pipeline.positions import find_all, find_first
from pipeline.staging import Trash

COPIES = 100
"""Queue entries that one script call takes out."""
ATTEMPTS = 20
PROCESSED, MOVED, WAS_LARGE = -1, -2, 2

type Copy = tuple[str, str, int | str]
"""A list, an element of it, and its position; empty where that is not known."""


class VconRemoval:
    """Removes one vCon after the other."""

    def __init__(self, connection: RedisConnection, sorted_set: str, *, run_expiry: int) -> None:
        """`sorted_set`: the catalogue. `run_expiry`: seconds that a cancelled run stays."""
        self._connection = connection
        self._sorted_set = sorted_set
        self._run_expiry = run_expiry

    async def remove(self, vcon_uuid: str, lists: Sequence[str]) -> bool:
        """Was anything of it in these lists, or elsewhere in Redis?

        Raises:
            ConflictError: while it is being processed, or moved from list to list.
        """
        was_queued = False
        for _ in range(ATTEMPTS):
            state = await self._try(vcon_uuid, lists)
            if state == WAS_LARGE:
                with contextlib.suppress(UnavailableError):  # it is removed; the rest comes later
                    await Trash(self._connection).empty()
            if state not in (PROCESSED, MOVED):
                return bool(state) or was_queued
            if state == PROCESSED:
                break
            was_queued = True
        msg = f"vCon {vcon_uuid} is being processed; try again later"
        raise ConflictError(msg)

    async def _try(self, vcon_uuid: str, lists: Sequence[str]) -> int:
        if await self._connection.command("HEXISTS", keys.LOCKS, vcon_uuid):
            return PROCESSED
        copies = await self._copies(vcon_uuid, lists)
        if not _at_once(copies):
            return await self._thin_out(vcon_uuid, copies)
        return await self._script(vcon_uuid, lists, copies, is_all=True)

    async def _thin_out(self, vcon_uuid: str, copies: Sequence[Copy]) -> int:
        """Take queue entries out; those that a removal has moved are left for the next attempt."""
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
        """Where these stand; a single one is looked for again, since finding takes time."""
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
    """Whether one call can take all of them out: each removal may move further ones of a list."""
    places = [(name, element) for name, element, position in copies if position != ""]
    return len(copies) <= COPIES and len(places) == len(set(places))
