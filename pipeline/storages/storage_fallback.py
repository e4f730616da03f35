"""vCons that Redis no longer has, brought back from a storage for a plugin that asks for them.

Not the vCon of the plugin's own run: that one is held in Redis until the run has ended, and a copy
from a storage would lack what the links before have added to it.
"""

import asyncio
import logging
from concurrent.futures import Future
from contextvars import ContextVar

from core.errors import InvalidError, UnknownNameError
from pipeline.runs.run_state import current_run
from pipeline.storages.lookup import VconLookup

SECONDS = 30.0
"""How long a plugin in a thread waits for the storages."""

log = logging.getLogger(__name__)

_asking: ContextVar[bool] = ContextVar("asking", default=False)
"""Set while storages are asked on somebody's behalf: what they ask for themselves is not."""

_installed: list["StorageFallback"] = []


class StorageFallback:
    """Brings vCons back on behalf of plugins, wherever those run."""

    def __init__(self, finder: VconLookup, loop: asyncio.AbstractEventLoop) -> None:
        """`loop` is the one that `finder` belongs to; its storages need threads of their own."""
        self._finder = finder
        self.loop = loop

    async def bring_back(self, vcon_uuid: str) -> bool:
        """Whether the vCon is in Redis now; the storages are asked on the finder's own loop."""
        if _running_loop() is not self.loop:
            return await asyncio.wrap_future(self._on_its_loop(vcon_uuid))
        run = current_run.get()
        own = run is not None and vcon_uuid in (run.claim.vcon_uuid, run.progress.vcon)
        if own or _asking.get():
            return False
        token = _asking.set(True)
        try:
            await self._finder.bring_back(vcon_uuid)
        except (UnknownNameError, InvalidError):  # no UUID: no storage can have it
            return False
        finally:
            _asking.reset(token)
        return True

    def bring_back_from_thread(self, vcon_uuid: str) -> bool:
        """The same from a thread, which waits. On the loop itself nobody could wait: False.

        Raises:
            TimeoutError: when the storages take too long.
        """
        if _running_loop() is self.loop:
            log.warning("VconRedis called on an event loop; use AsyncVconRedis")
            return False
        return self._on_its_loop(vcon_uuid).result(SECONDS)

    def _on_its_loop(self, vcon_uuid: str) -> Future[bool]:
        return asyncio.run_coroutine_threadsafe(self.bring_back(vcon_uuid), self.loop)


def install(elsewhere: StorageFallback) -> None:
    """From now on plugins of this process get vCons from storages, too."""
    _installed[:] = [elsewhere]


def installed() -> StorageFallback | None:
    """What brings vCons back here, if something does."""
    return _installed[0] if _installed else None


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
