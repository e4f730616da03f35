"""Writes one entry: into custody first, then into Redis, by the script that decides about it."""

import contextlib
from collections.abc import Sequence
from typing import Any

from core.concurrency.helper_process import Offload
from core.db.custody import NewCustody, Release
from core.errors import UnavailableError
from pipeline.custody.carrying_out import CarryingOut, Row
from pipeline.custody.keeper import Keeper
from pipeline.custody.rows import IN_REDIS
from pipeline.ingest.entry import Entry
from pipeline.ingest.idempotency import Registration
from pipeline.media import media
from pipeline.redis_client import originals
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.document_pieces import CERTAINLY_SMALL, is_large
from pipeline.redis_client.staging import staged
from schemas.ingested import IN_REDIS_ALONE

ONLY_LOOK = "?"
"""In place of a row of custody: the script says `stage` where there is something to be done."""
_QUEUED = ("new", "replaced")


def row_of(
    entry: Entry,
    original: bytes,
    lists: Sequence[str],
    terms: Sequence[str],
    owner: str,
    request: Registration,
) -> NewCustody:
    """What custody gets of a request; one for no list is kept as long as Redis has the vCon.

    `original`: the one that stays beside the document, so that a recovery writes it again.
    """
    carried_out = (entry.digest, request.lists, entry.received)
    document = originals.in_one(entry.document, original) if original else entry.document
    return NewCustody(
        vcon_uuid=entry.vcon_uuid,
        lists=lists or [IN_REDIS],
        document=document,
        digest=entry.digest,
        created_at=entry.created_at,
        terms=terms,
        received=entry.received,
        owner=owner,
        keys={request.name: "\n".join(carried_out)} if request.name else {},
    )


class EntryWriter:
    """Calls `ingest.lua` as often as an entry needs it."""

    def __init__(self, connection: RedisConnection, keeper: Keeper, offload: Offload) -> None:
        """`offload` runs the division of large documents into pieces."""
        self._connection = connection
        self._keeper = keeper
        self._offload = offload
        self._carrying_out = CarryingOut(connection, keeper)

    async def write(
        self, entry: Entry, row: NewCustody | None, words: Sequence[object], *named: object
    ) -> Any:
        """The script's reply. `row` is what custody gets; None if the caller sees to that.

        `words` and `named` are the script's arguments before and after the row's ref. A large
        document, or one with media, is taken into custody and written only if the script asks for
        it: the media first, so that no document names one that is not there. A row that Redis
        has no use for is deleted again.
        """
        document: bytes | str = entry.in_redis
        large = _is_large(entry)
        script = ("ingest", entry.vcon_uuid)
        if large or entry.taken is not None:
            look = ONLY_LOOK if row is not None and self._keeper.is_kept else ""
            reply = await self._connection.script(*script, b"", *words, look, *named)
            if reply != ["stage"]:
                return reply
        beside, bodies = media.installed(self._connection), entry.media
        registered = await beside.write(entry.vcon_uuid, bodies)
        used = ""

        async def accept() -> list[Row]:
            return [(entry.vcon_uuid, await self._accepted(entry, row))]

        async def carry_out(refs: Sequence[str]) -> Any:
            nonlocal used
            [used] = refs
            return await self._connection.script(*script, document, *words, *refs, *named)

        if large:
            document = await staged(self._connection, document, self._offload, entry.pieces)
        reply = await self._carrying_out(accept, carry_out, _needs_row)
        await beside.confirm(entry.vcon_uuid, bodies, registered)
        if row is not None and used and reply[0] == "duplicate":
            await self._narrow(used, row.lists, reply[3:])
        return reply

    async def _narrow(self, ref: str, lists: Sequence[str], needed: Sequence[str]) -> None:
        """Release the lists that had the content before, and have a row for it, or had one."""
        over = [Release(ref, name, "duplicate") for name in lists if name not in needed]
        if needed and over:
            with contextlib.suppress(UnavailableError):
                await self._keeper.release(over)

    async def _accepted(self, entry: Entry, row: NewCustody | None) -> str:
        if row is None or not self._keeper.is_kept:
            return ""
        ref = await self._keeper.accept(row)
        if not ref and IN_REDIS_ALONE not in entry.warnings:
            entry.warnings.append(IN_REDIS_ALONE)
        return ref


def _is_large(entry: Entry) -> bool:
    if entry.large is not None:
        return entry.large
    return len(entry.in_redis) >= CERTAINLY_SMALL and is_large(entry.in_redis)


def _needs_row(reply: Sequence[Any]) -> bool:
    return reply[0] in _QUEUED or (reply[0] == "duplicate" and len(reply) > 3)
