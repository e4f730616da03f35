"""Reading vCons that Redis no longer has from a storage, for plugins that request them.

The vCon of the plugin's own run is excluded: it stays in Redis until the run has ended, and a copy
from a storage would lack what earlier links have added.
"""

import asyncio
import logging
from concurrent.futures import Future
from contextvars import ContextVar

from core.errors import GoneError, InvalidError, UnknownNameError
from pipeline.plugins.loader import LoadedStorage
from pipeline.runs.run_state import current_run
from pipeline.storages.lookup import VconLookup

SECONDS = 30.0
"""Seconds that a plugin in a thread waits for the storages."""

__all__ = ["LoadedStorage", "StorageFallback", "install", "installed"]

log = logging.getLogger(__name__)

_asking: ContextVar[bool] = ContextVar("asking", default=False)
"""Set while storages are read: vCons that a storage requests itself are not looked up."""

_installed: list["StorageFallback"] = []


class StorageFallback:
    """Brings vCons back to Redis for plugins on the event loop and in threads."""

    def __init__(self, lookup: VconLookup, loop: asyncio.AbstractEventLoop) -> None:
        """`loop` is the one that `lookup` is used on; it needs threads apart from the plugins'."""
        self._lookup = lookup
        self.loop = loop

    async def bring_back(self, vcon_uuid: str) -> bool:
        """Bring a vCon back; whether it is in Redis now. The storages are read on `loop`."""
        if _running_loop() is not self.loop:
            return await asyncio.wrap_future(self._on_its_loop(vcon_uuid))
        run = current_run.get()
        own = run is not None and vcon_uuid in (run.claim.vcon_uuid, run.progress.vcon)
        if own or _asking.get():
            return False
        token = _asking.set(True)
        try:
            await self._lookup.bring_back(vcon_uuid)
        except (UnknownNameError, GoneError, InvalidError):  # InvalidError: it is no UUID
            return False
        finally:
            _asking.reset(token)
        return True

    def bring_back_from_thread(self, vcon_uuid: str) -> bool:
        """`bring_back` from a thread, which waits; False on the loop itself, which must not.

        Raises:
            TimeoutError: the storages took longer than `SECONDS`.
        """
        if _running_loop() is self.loop:
            log.warning("VconRedis called on an event loop; use AsyncVconRedis")
            return False
        return self._on_its_loop(vcon_uuid).result(SECONDS)

    def is_here(self) -> bool:
        """Whether the caller is on the loop, which must not wait for itself."""
        return _running_loop() is self.loop

    def storage_from_thread(self, name: str) -> LoadedStorage:
        """A configured storage, loaded; waits, so not on the loop itself.

        Raises:
            UnknownNameError: it is not configured.
            PluginFailedError: its module cannot be loaded.
            TimeoutError: it took longer than `SECONDS`.
        """
        loading = asyncio.run_coroutine_threadsafe(self._lookup.storage(name), self.loop)
        return loading.result(SECONDS)

    def _on_its_loop(self, vcon_uuid: str) -> Future[bool]:
        return asyncio.run_coroutine_threadsafe(self.bring_back(vcon_uuid), self.loop)


def install(fallback: StorageFallback) -> None:
    """Use this fallback for the plugins of this process."""
    _installed[:] = [fallback]


def installed() -> StorageFallback | None:
    """The process's fallback, if it has one."""
    return _installed[0] if _installed else None


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
