"""The vCons in Redis, as links, storages and tracers see them.

`VconRedis` is vcon-server's class of that name: synchronous and safe from any thread, for plugins
that run in one. `AsyncVconRedis` is for plugins that run on the event loop. Both find the process's
connection by themselves. A vCon that is no longer in Redis is brought back from the first storage
of the configuration that has it, for as long as vCons stay there.

What they write is a vCon in the form of 0.4.0, and so is what they read, also where another program
has written to Redis directly: today's names, JSON bodies as text. A write made inside a run that
another worker has taken over is refused.
"""

import asyncio
from typing import TYPE_CHECKING, Any

from lib.vcon_library import document_of, open_vcon
from pipeline.redis_client.client import installed
from pipeline.runs.vcon_store import VconStore
from pipeline.storages.storage_fallback import installed as installed_elsewhere
from pipeline.vcon.normalization import normalised, readable

if TYPE_CHECKING:
    from vcon import Vcon

CANONICAL_VERSION = "0.4.0"

type Document = dict[str, Any]


class VconRedis:
    """Reads and writes vCons and their time to live, waiting for Redis.

    Every method raises `UnavailableError` when Redis cannot be reached; those that store raise
    `ConflictError` inside a run that this worker no longer holds, and have then written nothing.
    """

    DEFAULT_TTL = 3600
    """Seconds; nobody applies it unless asked to."""

    def get_vcon(self, vcon_id: str) -> "Vcon | None":
        """A fresh `vcon.Vcon`, or None; changes to it are seen once it is stored."""
        document = self.get_vcon_dict(vcon_id)
        return None if document is None else open_vcon(document)

    def get_vcon_dict(self, vcon_id: str) -> Document | None:
        """The vCon as a fresh dict, or None; changes to it are seen once it is stored."""
        store, elsewhere = _store(), installed_elsewhere()
        document = store.get_from_thread(vcon_id)
        if document is None and elsewhere and elsewhere.bring_back_from_thread(vcon_id):
            document = store.get_from_thread(vcon_id)
        return _canonical(document)

    def store_vcon(self, vcon: "Vcon", ttl: int | None = None) -> None:
        """Write a vCon; with a `ttl` it goes after so many seconds, else that stays as it is.

        The object itself is not changed by this, though what is written is in the form of 0.4.0.
        """
        self.store_vcon_dict(document_of(vcon), ttl)

    def store_vcon_dict(self, vcon_dict: Document, ttl: int | None = None) -> None:
        """The same for a dict."""
        _store().put_from_thread(normalised(vcon_dict), ttl or 0)

    def set_expiry(self, vcon_id: str, ttl: int) -> bool:
        """Let the vCon go after so many seconds; False when there is none.

        While somebody needs it, such as the present run, they do not run yet.
        """
        return bool(installed().script_from_thread("expire", vcon_id, ttl))

    def get_ttl(self, vcon_id: str) -> int:
        """Seconds that the vCon has left; -1 when it stays, -2 when there is none.

        Those that do not run yet, since somebody needs it, count as well.
        """
        left = int(installed().command_from_thread("TTL", _key(vcon_id)))
        wished = installed().command_from_thread("HGET", _about(vcon_id), "expiry")
        return int(wished) if left == -1 and wished else left

    def remove_expiry(self, vcon_id: str) -> bool:
        """Let the vCon stay; False when it would have stayed anyway, or there is none."""
        forgotten = installed().command_from_thread("HDEL", _about(vcon_id), "expiry")
        return bool(installed().command_from_thread("PERSIST", _key(vcon_id)) or forgotten)

    # vcon-server's asynchronous methods. They are given a client, but a write through that would
    # not be refused when it must be; a thread can do what they ask for on whichever loop it is.

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
    """Reads and writes vCons on the event loop; what vCons at once ask for travels together.

    Raises what `VconRedis` does.
    """

    async def get_vcon_dict(self, vcon_id: str) -> Document | None:
        """The vCon as a fresh dict, or None; changes to it are seen once it is stored."""
        store, elsewhere = _store(), installed_elsewhere()
        document = await store.get(vcon_id)
        if document is None and elsewhere and await elsewhere.bring_back(vcon_id):
            document = await store.get(vcon_id)
        return _canonical(document)

    async def store_vcon_dict(self, vcon_dict: Document, ttl: int | None = None) -> None:
        """Write a vCon; with a `ttl` it goes after so many seconds, else that stays as it is."""
        await _store().put(normalised(vcon_dict), ttl or 0)

    async def set_expiry(self, vcon_id: str, ttl: int) -> bool:
        """Let the vCon go after so many seconds; False when there is none."""
        return bool(await installed().script("expire", vcon_id, ttl))


def _store() -> VconStore:
    # Asked for each time: a plugin may construct its VconRedis before there is a connection.
    return VconStore(installed())


def _canonical(document: Document | None) -> Document | None:
    if document is None or document.get("vcon") != CANONICAL_VERSION:
        return document and normalised(document)
    return readable(document)  # the version is no promise of the program that wrote it


def _about(vcon_id: str) -> str:
    return f"pc:about:{vcon_id}"


def _key(vcon_id: str) -> str:
    return f"vcon:{vcon_id}"
