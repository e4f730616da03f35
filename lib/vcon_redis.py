"""Reads and writes vCons in Redis, for links, storages and tracers.

`VconRedis` is vcon-server's class of that name: synchronous and thread-safe, for plugins in a
thread. `AsyncVconRedis` is for plugins on the event loop. Both use the process's connection. A vCon
that has expired in Redis is restored from the first configured storage that has it, with the usual
time to live.

Written and returned vCons are in the format 0.4.0 (current field names, JSON bodies as text), also
if another program has written an older format to Redis. A write inside a run that another worker
has taken over is refused (fencing).
"""

import asyncio
from typing import TYPE_CHECKING, Any

from lib.vcon_library import document_of, open_vcon
from pipeline.redis_client.client import installed
from pipeline.runs.vcon_store import VconStore
from pipeline.storages.storage_fallback import installed as installed_fallback
from pipeline.vcon.normalization import normalised, readable

if TYPE_CHECKING:
    from vcon import Vcon

CANONICAL_VERSION = "0.4.0"

type Document = dict[str, Any]


class VconRedis:
    """Synchronous access to vCons and their time to live.

    Every method raises `UnavailableError` when Redis cannot be reached. In a run that this worker
    no longer holds, the storing methods raise `ConflictError` and write nothing.
    """

    DEFAULT_TTL = 3600
    """Seconds; for plugins, no method applies it by itself."""

    def get_vcon(self, vcon_id: str) -> "Vcon | None":
        """A new `vcon.Vcon`, or None; changes take effect when it is stored."""
        document = self.get_vcon_dict(vcon_id)
        return None if document is None else open_vcon(document)

    def get_vcon_dict(self, vcon_id: str) -> Document | None:
        """The vCon as a new dict, or None; changes take effect when it is stored."""
        store, fallback = _store(), installed_fallback()
        if (written := store.written(vcon_id)) is not None:
            return written
        document = store.get_from_thread(vcon_id)
        if document is None and fallback and fallback.bring_back_from_thread(vcon_id):
            document = store.get_from_thread(vcon_id)
        return _canonical(document)

    def required_vcon_dict(self, vcon_id: str) -> Document:
        """`get_vcon_dict` for storages and tracers, which cannot do without the vCon.

        Raises:
            LookupError: if there is no such vCon.
        """
        return _found(vcon_id, self.get_vcon_dict(vcon_id))

    def store_vcon(self, vcon: "Vcon", ttl: int | None = None) -> None:
        """Write a vCon in the format 0.4.0; `ttl` in seconds, None keeps the current one.

        The object itself is not changed.
        """
        self.store_vcon_dict(document_of(vcon), ttl)

    def store_vcon_dict(self, vcon_dict: Document, ttl: int | None = None) -> None:
        """`store_vcon` for a dict."""
        _store().put_from_thread(normalised(vcon_dict), ttl or 0)

    def set_expiry(self, vcon_id: str, ttl: int) -> bool:
        """Set the vCon's time to live in seconds; False if it is not in Redis.

        The time begins when no run, list or dead letter refers to the vCon any more.
        """
        return bool(installed().script_from_thread("expire", vcon_id, ttl))

    def get_ttl(self, vcon_id: str) -> int:
        """The vCon's time to live in seconds; -1 without one, -2 if it is not in Redis.

        A time to live that has not begun yet is returned in full.
        """
        left = int(installed().command_from_thread("TTL", _key(vcon_id)))
        wished = installed().command_from_thread("HGET", _about(vcon_id), "expiry")
        return int(wished) if left == -1 and wished else left

    def remove_expiry(self, vcon_id: str) -> bool:
        """Remove the vCon's time to live; False if it has none or is not in Redis."""
        forgotten = installed().command_from_thread("HDEL", _about(vcon_id), "expiry")
        return bool(installed().command_from_thread("PERSIST", _key(vcon_id)) or forgotten)

    # vcon-server's asynchronous methods. Writes through the client that callers pass would not be
    # fenced, so the synchronous method is called in a thread, which works on any event loop.

    async def store_vcon_async(
        self,
        redis_async: object,
        vcon: "Vcon",
        ttl: int | None = None,
    ) -> None:
        """`store_vcon` for callers on an event loop; the client they pass is not used."""
        await asyncio.to_thread(self.store_vcon, vcon, ttl)

    async def store_vcon_dict_async(
        self,
        redis_async: object,
        vcon_dict: Document,
        ttl: int | None = None,
    ) -> None:
        """`store_vcon_dict` for callers on an event loop; the client they pass is not used."""
        await asyncio.to_thread(self.store_vcon_dict, vcon_dict, ttl)

    async def set_expiry_async(self, redis_async: object, vcon_id: str, ttl: int) -> bool:
        """`set_expiry` for callers on an event loop; the client they pass is not used."""
        return await asyncio.to_thread(self.set_expiry, vcon_id, ttl)

    async def get_ttl_async(self, redis_async: object, vcon_id: str) -> int:
        """`get_ttl` for callers on an event loop; the client they pass is not used."""
        return await asyncio.to_thread(self.get_ttl, vcon_id)


class AsyncVconRedis:
    """Access to vCons on the event loop; concurrent commands are sent in one batch.

    Raises the same errors as `VconRedis`.
    """

    async def get_vcon_dict(self, vcon_id: str) -> Document | None:
        """The vCon as a new dict, or None; changes take effect when it is stored."""
        store, fallback = _store(), installed_fallback()
        if (written := store.written(vcon_id)) is not None:
            return written
        document = await store.get(vcon_id, _in_canonical_form)
        if document is None and fallback and await fallback.bring_back(vcon_id):
            document = await store.get(vcon_id, _in_canonical_form)
        return document

    async def required_vcon_dict(self, vcon_id: str) -> Document:
        """`get_vcon_dict` for storages and tracers, which cannot do without the vCon.

        Raises:
            LookupError: if there is no such vCon.
        """
        return _found(vcon_id, await self.get_vcon_dict(vcon_id))

    async def store_vcon_dict(self, vcon_dict: Document, ttl: int | None = None) -> None:
        """Write a vCon in the format 0.4.0; `ttl` in seconds, None keeps the current one."""
        await _store().put(vcon_dict, ttl or 0, normalised)

    async def set_expiry(self, vcon_id: str, ttl: int) -> bool:
        """Set the vCon's time to live in seconds; False if it is not in Redis."""
        return bool(await installed().script("expire", vcon_id, ttl))


def _store() -> VconStore:
    # Made per call: a plugin may construct its VconRedis before the connection exists.
    return VconStore(installed())


def _found(vcon_id: str, document: Document | None) -> Document:
    if document is None:
        raise LookupError(f"there is no vCon {vcon_id} in Redis")
    return document


def _canonical(document: Document | None) -> Document | None:
    return document and _in_canonical_form(document)


def _in_canonical_form(document: Document) -> Document:
    if document.get("vcon") != CANONICAL_VERSION:
        return normalised(document)
    return readable(document)  # another program may have written a wrong version number


def _about(vcon_id: str) -> str:
    return f"pc:about:{vcon_id}"


def _key(vcon_id: str) -> str:
    return f"vcon:{vcon_id}"
