"""Checks that this process can still open files, start threads and reserve memory.

A plugin may damage its process: it lowers a limit (`RLIMIT_NOFILE`), or leaks files, threads or
memory until the limit is reached. Then every run of the worker fails, with any vCon. So the
worker checks itself periodically and after each failure of a plugin, and ends when several checks
in a row find damage.
"""

import _thread
import asyncio
import contextlib
import mmap
import os

from core.observability.storable_text import described

LOOK_SECONDS = 5.0
"""Seconds between two checks; a plugin's failure is followed by one at once."""
AGAIN_SECONDS = 0.3
"""Seconds until damage is checked again: it may have been a short peak."""
LOOKS = 3
"""Checks in a row that must find damage."""
ROOM = 8 * 1024 * 1024
"""Bytes that are reserved and freed again, never written."""


def damage() -> str | None:
    """The error of opening a file, starting a thread or reserving memory; None if all succeed."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
        mmap.mmap(-1, ROOM).close()
        # not `threading`, whose count of threads is used to find what plugins leave running
        _thread.start_new_thread(lambda: None, ())
    except (OSError, RuntimeError, MemoryError) as error:
        return described(error)
    return None


class Fitness:
    """Waits for damage of this process; to be used on one event loop."""

    def __init__(
        self, look_seconds: float = LOOK_SECONDS, again_seconds: float = AGAIN_SECONDS
    ) -> None:
        """Nothing is checked before `damaged`. Both are pauses between checks."""
        self._look_seconds = look_seconds
        self._again_seconds = again_seconds
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Check soon: a plugin has failed, which may be the cause or the effect of damage."""
        self._asked.set()

    async def damaged(self) -> str:
        """Wait until this process is damaged; returns the error."""
        found = damage()
        while found is None or not await self._is_lasting():
            await self._pause()
            found = damage()
        return found

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._look_seconds):
                await self._asked.wait()
        self._asked.clear()

    async def _is_lasting(self) -> bool:
        for _ in range(LOOKS - 1):
            await asyncio.sleep(self._again_seconds)
            if damage() is None:
                return False
        return True
