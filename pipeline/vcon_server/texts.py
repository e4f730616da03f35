"""Reading vCons as JSON text; large ones are not parsed on the event loop."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import orjson

from core.concurrency.helper_process import Offload
from core.errors import GoneError, InvalidError, TooLargeError, UnknownNameError, UnusableKeyError
from core.operation_interfaces import MOST_VCON_BYTES, MOST_VCONS
from pipeline.redis_client.slices import chunks
from pipeline.runs.vcon_store import VconStore
from pipeline.storages.lookup import VconLookup, checked_uuid
from pipeline.vcon.normalization import outgoing
from schemas.vcon import TEXT_FORM

SMALL = 50_000
"""Bytes of a vCon that is converted on the event loop, which takes about 0.2 ms."""
AT_ONCE = 8
"""vCons that are read at once."""


class VconTexts:
    """Finds vCons, and gives their JSON in the format EGRESS_FORMAT_VERSION."""

    def __init__(self, store: VconStore, lookup: VconLookup, form: str, offload: Offload) -> None:
        """`form`: the setting EGRESS_FORMAT_VERSION. `offload` converts large vCons."""
        self._store = store
        self._lookup = lookup
        self._form = form
        self._offload = offload

    async def text(self, vcon_uuid: str) -> bytes:
        """The vCon from Redis or the first storage that has it.

        Raises:
            InvalidError: the text is no UUID.
            UnknownNameError: neither Redis nor a storage has it.
            GoneError: it was erased.
            UnusableKeyError: Redis has no vCon under its key, and no storage has it.
        """
        vcon_uuid = checked_uuid(vcon_uuid)
        unusable = None
        try:
            text, is_canonical = await self._store.text(vcon_uuid)
        except UnusableKeyError as error:
            text, is_canonical, unusable = None, False, error
        if text is not None:
            return await self._converted(text, is_canonical=is_canonical)
        try:
            document = await self._lookup.find_stored(vcon_uuid)
        except UnknownNameError as unknown:
            raise unusable or unknown from None
        return orjson.dumps(outgoing(document, self._form))

    async def _converted(self, text: bytes, *, is_canonical: bool) -> bytes:
        if len(text) <= SMALL:
            return converted(text, self._form)
        if is_canonical and self._form == TEXT_FORM:
            return text
        return await self._offload(converted, text, self._form)

    async def texts(self, vcon_uuids: Sequence[str]) -> list[bytes | None]:
        """The vCons in the order of the uuids; None for each that is not found.

        Raises:
            InvalidError: one is no UUID, or there are more than `MOST_VCONS`.
            TooLargeError: they have more than `MOST_VCON_BYTES`.
        """
        if len(vcon_uuids) > MOST_VCONS:
            msg = f"{len(vcon_uuids)} vCons; at most {MOST_VCONS} are given at once"
            raise InvalidError(msg)
        uuids = [checked_uuid(each) for each in vcon_uuids]
        copies = Counter(uuids)
        found: dict[str, bytes | None] = {}
        size = 0
        for some in chunks(list(copies), AT_ONCE):
            found |= zip(some, await asyncio.gather(*map(self._known, some)), strict=True)
            size += sum(copies[each] * len(found[each] or b"") for each in some)
            if size > MOST_VCON_BYTES:
                msg = f"the vCons have more than {MOST_VCON_BYTES} bytes; ask for fewer at once"
                raise TooLargeError(msg)
        return [found[each] for each in uuids]

    async def _known(self, vcon_uuid: str) -> bytes | None:
        try:
            return await self.text(vcon_uuid)
        except (UnknownNameError, GoneError, UnusableKeyError):
            return None


def converted(text: bytes, form: str) -> bytes:
    """The JSON of a vCon in Redis, in this form."""
    document: dict[str, Any] = orjson.loads(text)
    return orjson.dumps(outgoing(document, form))
