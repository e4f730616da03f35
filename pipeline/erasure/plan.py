"""The destinations of an erasure before anything is done: for the erasure, and for a dry run.

Beside them, what an operator has to know of a uuid first: that nothing is known of it (it may be
mistyped), or that it is erased. Both are allowed: a tombstone may be laid in advance.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC
from itertools import batched
from typing import Final, NamedTuple

from core.concurrency.thread_pool import BoundedCalls
from core.db.law.erasures import ErasureRows
from core.db.law.places import NewTarget, PlaceRows
from core.errors import PatchcordError
from pipeline.admin.operations import PipelineOperations
from pipeline.erasure.egress_lists import EgressLists
from pipeline.erasure.removal import storages_of
from pipeline.live_config import Configuration
from pipeline.storages.lookup import VconLookup
from pipeline.stored.index import StoredIndex

REDIS: Final = "redis"
BATCH: Final = 50
MOST_SOUGHT: Final = 50
"""vCons of one request of which this is asked; those of a person were found somewhere."""


class Knowledge(NamedTuple):
    """`erased`: by which erasure. `unknown`: the storages that could not be read."""

    erased: Mapping[str, str]
    unknown: Mapping[str, Sequence[str]]

    @property
    def notes(self) -> list[str]:
        """What an operator has to know of it first."""
        erased = (
            f"vCon {each} is erased already, by erasure {by}" for each, by in self.erased.items()
        )
        return [*erased, *(_unknown(each, unread) for each, unread in self.unknown.items())]


class Plan:
    """Finds where vCons are, or may be. Every method may raise UnavailableError."""

    def __init__(
        self,
        rows: ErasureRows,
        places: PlaceRows,
        lists: EgressLists,
        calls: BoundedCalls,
        configuration: Configuration,
        index: StoredIndex,
        operations: PipelineOperations,
        lookup: VconLookup,
    ) -> None:
        """`calls` carries `rows` and `places`."""
        self._rows = rows
        self._places = places
        self._lists = lists
        self._calls = calls
        self._configuration = configuration
        self._index = index
        self._operations = operations
        self._lookup = lookup

    async def targets(self, vcon_uuids: Sequence[str]) -> list[NewTarget]:
        """Every destination that an erasure of these notes when it begins."""
        places = await self.places(vcon_uuids)
        recorded = await self._calls.long(self._places.places, vcon_uuids)
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
        passed = await self._calls.long(self._places.passed, vcon_uuids)
        chains = self._configuration.config.chains
        known = ((each, chains[name]) for each, name, _ in passed if name in chains)
        return [
            NewTarget(each, "egress", name) for each, chain in known for name in chain.egress_lists
        ]

    async def unread(self, vcon_uuids: Sequence[str]) -> dict[tuple[str, str], int]:
        """The egress lists that have all that was put there of a vCon: no reader has read it.

        With how often it was put there.
        """
        chains, given = self._configuration.config.chains, Counter[tuple[str, str]]()
        for each, name, count in await self._calls.long(self._places.handed_on, vcon_uuids):
            given[each, name] += count
        for each, chain, count in await self._calls.long(self._places.passed, vcon_uuids):
            for name in chains[chain].egress_lists if chain in chains else ():
                given[each, name] += count
        unread: dict[tuple[str, str], int] = {}
        for each in {vcon_uuid for vcon_uuid, _ in given}:
            names = [name for vcon_uuid, name in given if vcon_uuid == each]
            copies = await self._lists.copies(each, names)
            whole = [name for name in names if copies[name] >= given[each, name]]
            unread |= {(each, name): given[each, name] for name in whole}
        return unread

    async def knowledge(self, vcon_uuids: Sequence[str]) -> Knowledge:
        """Which of the first of these are erased already, and of which nothing is known."""
        sought = vcon_uuids[:MOST_SOUGHT]
        stones = await self._calls(self._rows.tombstones_of, sought)
        erased = {each.vcon_uuid: each.erasure for each in stones}
        known = {*erased, *await self._index.get(sought)}
        known |= await self._operations.index.present(sought)
        known.update(await self._calls.long(self._places.known, sought))
        unknown = {each: await self._unread(each) for each in sought if each not in known}
        return Knowledge(
            erased, {each: names for each, names in unknown.items() if names is not None}
        )

    async def unknown(self, vcon_uuids: Sequence[str]) -> list[str]:
        """Those of the first of these of which nothing is known."""
        unindexed: list[str] = []
        for some in batched(vcon_uuids, BATCH):
            known = await self._index.get(some)
            unindexed += [each for each in some if each not in known]
            if len(unindexed) >= MOST_SOUGHT:
                break
        return list((await self.knowledge(unindexed)).unknown) if unindexed else []

    async def history_from(self, vcon_uuids: Sequence[str]) -> str | None:
        """Where the history of runs begins, if one of these may be older; "" if it is empty."""
        begins = await self._calls(self._places.history_from)
        if not vcon_uuids:
            return None
        if begins is None:
            return ""
        for some in batched(vcon_uuids, BATCH):
            known = await self._index.get(some)
            if len(known) < len(some) or any(each.created_at < begins for each in known.values()):
                return begins.astimezone(UTC).isoformat(timespec="seconds")
        return None

    async def _unread(self, vcon_uuid: str) -> list[str] | None:
        """The storages that cannot be read; None if one of the others has the vCon."""
        names = list(self._configuration.config.storages)
        found = await asyncio.gather(*(self._is_in(name, vcon_uuid) for name in names))
        if True in found:
            return None
        return [name for name, is_in in zip(names, found, strict=True) if is_in is None]

    async def _is_in(self, storage: str, vcon_uuid: str) -> bool | None:
        """None: the storage cannot be read, or fails."""
        try:
            return await self._lookup.is_in(storage, vcon_uuid)
        except PatchcordError:
            return None


def _unknown(vcon_uuid: str, unread: Sequence[str]) -> str:
    besides = f"; storages that cannot be read: {', '.join(unread)}" if unread else ""
    return (
        f"nothing is known of vCon {vcon_uuid} (no document, index row, custody, run, delivery or"
        f" copy was found{besides}): check the uuid; an erasure only refuses it from now on"
    )
