"""What vcon-server's HTTP API asks for: numbered pages, bare uuids, lists of any name."""

import asyncio
from collections.abc import Sequence

from core.errors import UnknownNameError, UnusableKeyError
from core.operation_interfaces import MOST_UUIDS
from pipeline.admin.operations import PipelineOperations, UncertainLeftError
from pipeline.config.chains import RESERVED_LISTS
from pipeline.config.lists import lists_of
from pipeline.live_config import Configuration
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.vcon_server.reindex import Reindex
from pipeline.vcon_server.texts import VconTexts
from schemas.deletion import Deletion

MOVED = 100
"""Dead letters that are moved at once."""
SEARCHED = 10_000
"""vCons of one page of a search."""


class VconServerOperations:
    """Implements `core.operation_interfaces.VconServerOperations`."""

    def __init__(
        self,
        connection: RedisConnection,
        configuration: Configuration,
        operations: PipelineOperations,
        texts: VconTexts,
        reindex: Reindex,
    ) -> None:
        self._connection = connection
        self._configuration = configuration
        self._operations = operations
        self._index = operations.index
        self._egress = operations.egress
        self._dead_letters = operations.letter_lists
        self.text = texts.text
        self.texts = texts.texts
        self.reindex = reindex.run

    async def page(
        self, page: int, size: int, since: float | None, until: float | None
    ) -> list[str]:
        """Page number `page` of all uuids; see `VconIndex.numbered`."""
        return await self._index.numbered(page, size, since, until)

    async def search(self, terms: Sequence[str]) -> list[str]:
        """The uuids of the vCons for which every term (`tel:...`) holds, each once."""
        found: dict[str, None] = {}
        cursor = None
        while len(found) < MOST_UUIDS:
            page = await self._operations.search(terms, SEARCHED, cursor)
            found |= dict.fromkeys(page.vcon_uuids)
            if (cursor := page.cursor) is None:
                break
        return list(found)[:MOST_UUIDS]

    async def delete(self, vcon_uuid: str) -> Deletion:
        """Remove a vCon from Redis, then from every storage that can delete.

        Raises:
            ConflictError: while the vCon is being processed. Nothing is removed.
        """
        return await self._operations.remove(vcon_uuid, list(self._configuration.config.storages))

    async def depth(self, name: str, *, any_list: bool = False) -> int:
        """How many vCons are in a list, those that wait for a process of their own included.

        Raises:
            UnknownNameError: the configuration has no such list, or the name is reserved.
            UnusableKeyError: a key of this name, or one that belongs to it, has another type.
        """
        known = lists_of(self._configuration.config).all
        if name not in known and not (any_list and _is_free(name, letters=True)):
            raise UnknownNameError("list", name, known)
        [[depth, suspects, error]] = await self._connection.script("depths", 1, name)
        if error:
            raise UnusableKeyError(str(error).removeprefix("WRONGTYPE "))
        return int(depth) + int(suspects)

    async def pop(self, egress_list: str, limit: int, *, any_list: bool = False) -> list[str]:
        """Take uuids for good; see `Egress.pop`."""
        self._check_egress(egress_list, any_list=any_list)
        return await self._egress.pop(egress_list, limit)

    async def lease(
        self, egress_list: str, limit: int, lease_seconds: int, *, any_list: bool = False
    ) -> list[str]:
        """Lease uuids, oldest first; they return to the list unless acknowledged in time."""
        self._check_egress(egress_list, any_list=any_list)
        return await self._egress.read_many(egress_list, limit, lease_seconds)

    async def acknowledge(
        self, egress_list: str, vcon_uuids: Sequence[str], *, any_list: bool = False
    ) -> int:
        """End the leases of these uuids; how many were leased."""
        self._check_egress(egress_list, any_list=any_list)
        return await self._egress.acknowledge(egress_list, vcon_uuids)

    def _check_egress(self, name: str, *, any_list: bool) -> None:
        """Refuse a list that is not for readers.

        Raises:
            UnknownNameError: it is no egress list.
            InvalidError: a chain reads it.
        """
        self._operations.check_egress(name, is_free=any_list and _is_free(name))

    async def dead_letter_uuids(
        self, list_name: str | None, storage: str | None, *, any_list: bool = False
    ) -> list[str]:
        """The uuids of the oldest entries of a dead-letter list.

        Raises:
            UnknownNameError: the list or storage is not configured and has no dead letters.
        """
        if any_list and list_name is not None:
            name = keys.dead_letters(list_name)
        elif storage is not None and storage not in self._configuration.config.storages:
            name = await self._letters_of_unknown(storage)
        else:
            name = await self._operations.letters(list_name, storage)
        return await self._dead_letters.uuids(name, MOST_UUIDS)

    async def _letters_of_unknown(self, storage: str) -> str:
        name = keys.storage_dead_letters(storage)
        if not await self._dead_letters.count(name):
            raise unknown_storage(storage)
        return name

    async def replay(
        self, list_name: str | None, storage: str | None, count: int, *, any_list: bool = False
    ) -> int:
        """Queue the oldest dead letters again, at the step that failed; how many.

        Raises:
            UnknownNameError: the list is not configured and has no dead letters, or its name is
                reserved; or the storage is not configured.
        """
        config = self._configuration.config
        if storage is not None and storage not in config.storages:
            raise unknown_storage(storage)
        if any_list and list_name is not None and list_name not in lists_of(config).ingress:
            return await self._move_back(list_name, count)
        try:
            return await self._operations.replay(
                list_name, storage, vcon_uuids=None, cause=None, limit=count, from_start=False
            )
        except UncertainLeftError:  # its clients cannot say what is done
            return 0

    async def _move_back(self, name: str, count: int) -> int:
        """Move dead letters to a list that no chain reads: another program does."""
        if not _is_free(name):
            raise UnknownNameError("ingress list", name)
        words = ("LMOVE", keys.dead_letters(name), name, "LEFT", "RIGHT")
        moved = 0
        while moved < count:
            some = range(min(MOVED, count - moved))
            found = await asyncio.gather(*(self._connection.command(*words) for _ in some))
            moved += sum(each is not None for each in found)
            if None in found:
                break
        return moved


def unknown_storage(name: str) -> UnknownNameError:
    """The error in vcon-server's words."""
    return UnknownNameError("storage backend", name)


def _is_free(name: str, *, letters: bool = False) -> bool:
    """Whether the name can be that of a list that is not in the configuration.

    Not those under which this service or vcon-server keeps something else, except, with `letters`,
    dead-letter lists.
    """
    if letters and name.startswith(keys.DEAD_LETTERS):
        return True
    if not name or name in RESERVED_LISTS:
        return False
    return not name.startswith(keys.RESERVED_PREFIXES)
