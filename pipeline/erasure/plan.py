"""The destinations of an erasure before anything is done: for the erasure, and for a dry run.

Beside them, what an operator has to know of a uuid first: that nothing is known of it (it may be
mistyped), or that it is erased. Both are allowed: a tombstone may be laid in advance.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from core.concurrency.thread_pool import BoundedCalls
from core.db.law.erasures import ErasureRows, NewTarget
from core.errors import PatchcordError
from pipeline.admin.operations import PipelineOperations
from pipeline.erasure.removal import storages_of
from pipeline.live_config import Configuration
from pipeline.storages.lookup import VconLookup
from pipeline.stored.index import StoredIndex

REDIS: Final = "redis"
BATCH: Final = 50
MOST_SOUGHT: Final = 50
"""vCons of one request of which this is asked; those of a person were found somewhere."""


class Plan:
    """Finds where vCons are, or may be. Every method may raise UnavailableError."""

    def __init__(
        self,
        rows: ErasureRows,
        calls: BoundedCalls,
        configuration: Configuration,
        index: StoredIndex,
        operations: PipelineOperations,
        lookup: VconLookup,
    ) -> None:
        """`calls` carries `rows`."""
        self._rows = rows
        self._calls = calls
        self._configuration = configuration
        self._index = index
        self._operations = operations
        self._lookup = lookup

    async def targets(self, vcon_uuids: Sequence[str]) -> list[NewTarget]:
        """Every destination that an erasure of these notes when it begins."""
        places = await self.places(vcon_uuids)
        recorded = await self._calls.long(self._rows.places, vcon_uuids)
        return list(dict.fromkeys([*places, *recorded]))

    async def places(self, vcon_uuids: Sequence[str]) -> list[NewTarget]:
        """Those of deliveries and runs excepted, which `ErasureRows.begin` reads itself."""
        config, places = self._configuration.config, list[NewTarget]()
        for at in range(0, len(vcon_uuids), BATCH):
            some = vcon_uuids[at : at + BATCH]
            known = await self._index.get(some)
            for each in some:
                row = known.get(each)
                names = storages_of(
                    row.storages if row else None, row.chains if row else (), config
                )
                places.append(NewTarget(each, REDIS, REDIS))
                places += [NewTarget(each, "storage", name) for name in names]
        return places + await self.given_out(vcon_uuids)

    async def given_out(self, vcon_uuids: Sequence[str]) -> list[NewTarget]:
        """The egress lists of chains without custody that these have passed."""
        passed = await self._calls.long(self._rows.passed, vcon_uuids)
        chains = self._configuration.config.chains
        known = ((each, chains[name]) for each, name in passed if name in chains)
        return [
            NewTarget(each, "egress", name) for each, chain in known for name in chain.egress_lists
        ]

    async def notes(self, vcon_uuids: Sequence[str]) -> list[str]:
        """What has to be said of these: erased already, or unknown everywhere."""
        sought = vcon_uuids[:MOST_SOUGHT]
        stones = await self._calls(self._rows.tombstones_of, sought)
        erased = {each.vcon_uuid: each.erasure for each in stones}
        known = {*erased, *await self._index.get(sought)}
        known |= await self._operations.index.present(sought)
        known.update(await self._calls.long(self._rows.known, sought))
        unknown = [each for each in sought if each not in known]
        notes = [f"vCon {each} is erased already, by erasure {by}" for each, by in erased.items()]
        return notes + [note for each in unknown if (note := await self._unknown(each))]

    async def _unknown(self, vcon_uuid: str) -> str | None:
        names = list(self._configuration.config.storages)
        found = await asyncio.gather(*(self._is_in(name, vcon_uuid) for name in names))
        if True in found:
            return None
        unread = [name for name, is_in in zip(names, found, strict=True) if is_in is None]
        besides = f"; storages that cannot be read: {', '.join(unread)}" if unread else ""
        return (
            f"nothing is known of vCon {vcon_uuid} (no document, index row, custody, run, delivery"
            f" or copy was found{besides}): check the uuid; an erasure only refuses it from now on"
        )

    async def _is_in(self, storage: str, vcon_uuid: str) -> bool | None:
        """None: the storage cannot be read, or fails."""
        try:
            return await self._lookup.is_in(storage, vcon_uuid)
        except PatchcordError:
            return None
