"""vCons that Redis no longer has, brought back from a storage for a guest that asks for them.

Not the vCon of the guest's own run: that one is held in Redis until the run has ended, and a copy
from a storage would lack what the links before have added to it.
"""

import asyncio

from core.errors import UnknownNameError
from pipeline.finder import VconFinder
from pipeline.live_run import current_run

SECONDS = 30.0
"""How long a guest in a thread waits for the storages."""

_installed: list["Elsewhere"] = []


class Elsewhere:
    """Brings vCons back on behalf of guests, wherever those run."""

    def __init__(self, finder: VconFinder, loop: asyncio.AbstractEventLoop) -> None:
        """`loop` is the one that `finder` belongs to; its storages need threads of their own."""
        self._finder = finder
        self._loop = loop

    async def bring_back(self, vcon_uuid: str) -> bool:
        """Whether the vCon is in Redis now, on the finder's own loop."""
        run = current_run.get()
        if run is not None and vcon_uuid in (run.claim.vcon_uuid, run.progress.vcon):
            return False
        try:
            await self._finder.bring_back(vcon_uuid)
        except UnknownNameError:
            return False
        return True

    def bring_back_from_thread(self, vcon_uuid: str) -> bool:
        """The same from a thread, which waits.

        Raises:
            TimeoutError: when the storages take too long.
        """
        return asyncio.run_coroutine_threadsafe(self.bring_back(vcon_uuid), self._loop).result(
            SECONDS
        )


def install(elsewhere: Elsewhere) -> None:
    """From now on guests of this process get vCons from storages, too."""
    _installed[:] = [elsewhere]


def installed() -> Elsewhere | None:
    """What brings vCons back here, if something does."""
    return _installed[0] if _installed else None
