"""Removes media bodies that no document needs any more.

Each vCon with media is registered in `pc:media` before its first body is written, and looked at
again every `LOOK_SECONDS`, or soon after its document has expired. What is removed:

- without a document in Redis, bodies older than `UNUSED_SECONDS`: a younger one may belong to a
  document that is being written;
- beside a document, bodies that it does not name, older than `REPLACED_SECONDS`, unless a run works
  on the vCon: the run may hold a newer document in memory.

A vCon without any body leaves the register. The deletion of a vCon removes its bodies at once
(`deletion.py`); what it could not remove, since a store did not answer, is removed here.

Each round also compares MEDIA_STORE with what other replicas write about themselves
(`pc:process:`): one of an earlier version would take a placeholder for a body. While they differ,
no vCon leaves the register: another replica may keep its bodies in a store that is unknown here.
"""

import logging
import time

import orjson

from pipeline.media.bodies import written_at
from pipeline.media.media import LOOK_SECONDS, Media
from pipeline.media.replicas import differing
from pipeline.media.rules import is_own
from pipeline.media.stores import MediaAwayError
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection

UNUSED_SECONDS = 3600
"""Longer than any caller or link takes from writing a body to writing the document."""
REPLACED_SECONDS = 86_400
MOST = 100
"""vCons that one script call returns."""
SOON = 5
"""Seconds from the end of a document to the look at its media."""
GONE = -2

log = logging.getLogger(__name__)


class MediaSweep:
    """The sweep of one service process; any number of replicas may sweep at once."""

    def __init__(self, connection: RedisConnection, media: Media) -> None:
        self._connection = connection
        self._media = media
        self._others: dict[str, str] = {}

    async def round(self) -> None:
        """Look at every vCon that is due, and at other replicas.

        Raises:
            UnavailableError: Redis cannot be reached.
        """
        await self._compare()
        while True:
            later, *due = await self._connection.script("due_media", MOST, LOOK_SECONDS)
            for vcon_uuid in due:
                try:
                    await self._look(vcon_uuid, later)
                except (MediaAwayError, orjson.JSONDecodeError) as error:  # a later look finds it
                    log.warning("media not swept", extra={"error": str(error), "vcon": vcon_uuid})
            if len(due) < MOST:
                return

    async def _compare(self) -> None:
        """Note replicas with another setting; with MEDIA_STORE, warn of each once."""
        others = await differing(self._connection, self._media)
        for replica in others.keys() - self._others.keys() if self._media.is_on else ():
            log.error("replicas differ in MEDIA_STORE", extra={"error": others[replica]})
        self._others = others

    async def _look(self, vcon_uuid: str, later: str) -> None:
        if not is_own(vcon_uuid):  # another program's; it would become a part of a path
            await self._connection.script("forget_media", vcon_uuid, later, "")
            return
        left = await self._connection.command("TTL", keys.vcon(vcon_uuid))
        names = {kind: await each.names(vcon_uuid) for kind, each in self._media.stores.items()}
        unused = await self._unused(vcon_uuid, names, is_gone=left == GONE)
        for kind, some in unused.items():
            if some:
                await self._media.stores[kind].remove(vcon_uuid, some)
        count = sum(map(len, names.values())) - sum(map(len, unused.values()))
        until = min(left + SOON, LOOK_SECONDS)
        if count == 0 and not self._others:
            await self._connection.script("forget_media", vcon_uuid, later, "")
        elif left >= 0 and until < LOOK_SECONDS:
            soon = int(later) - LOOK_SECONDS + until
            await self._connection.script("forget_media", vcon_uuid, later, soon)

    async def _unused(
        self, vcon_uuid: str, names: dict[str, list[str]], *, is_gone: bool
    ) -> dict[str, list[str]]:
        before = time.time() - (UNUSED_SECONDS if is_gone else REPLACED_SECONDS)
        old = {kind: [x for x in some if written_at(x) < before] for kind, some in names.items()}
        if is_gone or not any(old.values()):
            return old
        if await self._connection.command("HEXISTS", keys.LOCKS, vcon_uuid):
            return {}
        named = {each.name for each in await self._media.named(vcon_uuid)}
        return {kind: [x for x in some if x not in named] for kind, some in old.items()}
