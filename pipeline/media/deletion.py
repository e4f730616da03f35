"""Removes all media bodies of a vCon that is deleted, also those that its document does not name.

Such as one that was written back into the document, or that a link has replaced. The same vCon may
come in again at that moment, so what was there before the document was removed is removed after it,
except what a document names then. A writer may be between its bodies and its document: the time in
the register is put back first, by which the writer knows that its bodies may be gone
(`Media.confirm`), and writes them again.
"""

import contextlib
import time

import orjson

from core.errors import UnavailableError
from pipeline.media.media import LOOK_SECONDS, Media
from pipeline.media.replicas import differing
from pipeline.media.rules import is_own
from pipeline.redis_client import keys
from pipeline.redis_client.client import CommandRefused, RedisConnection
from pipeline.redis_client.errors import WrongTypeError

SOON = LOOK_SECONDS // 10
"""Seconds until the sweep looks at what a deletion has left."""

type Names = dict[str, list[str]]
"""Names of bodies by the kind of store; without a store that does not answer."""

_FAILURES = (UnavailableError, CommandRefused, WrongTypeError)


class MediaDeletion:
    """The media of vCons that are deleted. What fails is left to the sweep."""

    def __init__(self, connection: RedisConnection, media: Media) -> None:
        self._connection = connection
        self._media = media

    async def find(self, vcon_uuid: str) -> Names:
        """All bodies of a vCon; to be called before its document is removed."""
        if not (is_own(vcon_uuid) and await self._is_registered(vcon_uuid)):
            return {}
        found: Names = {}
        for kind, store in self._media.stores.items():
            with contextlib.suppress(*_FAILURES):
                found[kind] = await store.names(vcon_uuid)
        return found

    async def remove(self, vcon_uuid: str, found: Names) -> None:
        """Remove these, and the vCon from the register if it has no others."""
        if not found:
            return
        with contextlib.suppress(*_FAILURES, orjson.JSONDecodeError):
            until = str(int(time.time()) + SOON)
            await self._connection.command("ZADD", keys.MEDIA, until, vcon_uuid)
            named = {each.name for each in await self._media.named(vcon_uuid)}
            is_all = await self._remove(vcon_uuid, found, named) and not named
            if is_all and not await differing(self._connection, self._media):
                await self._connection.script("forget_media", vcon_uuid, until, "")

    async def erase(self, vcon_uuid: str) -> None:
        """Remove all bodies of an erased vCon, registered or not; nothing is left to the sweep.

        Raises:
            MediaAwayError: a store beside Redis does not answer.
            UnavailableError: Redis does not answer.
            UnusableKeyError: another program has a key in the place of one.
        """
        if is_own(vcon_uuid):
            for store in self._media.stores.values():
                if names := await store.names(vcon_uuid):
                    await store.remove(vcon_uuid, names)

    async def _remove(self, vcon_uuid: str, found: Names, named: set[str]) -> bool:
        """Whether every store has answered."""
        answered = 0
        for kind, names in found.items():
            with contextlib.suppress(*_FAILURES):
                if unused := [each for each in names if each not in named]:
                    await self._media.stores[kind].remove(vcon_uuid, unused)
                answered += 1
        return answered == len(self._media.stores)

    async def _is_registered(self, vcon_uuid: str) -> bool:
        """Whether it may have media; it has none that was never registered."""
        try:
            return await self._connection.command("ZSCORE", keys.MEDIA, vcon_uuid) is not None
        except _FAILURES:
            return True
