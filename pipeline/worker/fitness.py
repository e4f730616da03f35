"""Whether this process can still do what plugins and the worker need of the operating system.

A plugin may damage its process for all that run after it: it lowers a limit (`RLIMIT_NOFILE`), or
keeps files, threads or memory until nothing is left. Every run of such a worker fails, though no
other vCon is at fault. So the worker looks at itself, now and then and after each failure of a
plugin, and ends when it finds the same damage several times.
"""

import _thread
import asyncio
import contextlib
import mmap
import os

from core.observability.storable_text import described

LOOK_SECONDS = 5.0
"""Seconds between two looks; a failure of a plugin is followed by one at once."""
AGAIN_SECONDS = 0.3
"""Seconds until damage is looked for again: files may have run short for a moment only."""
LOOKS = 3
"""How many looks in a row must find damage."""
ROOM = 8 * 1024 * 1024
"""Bytes that are reserved for a moment and not touched."""


def damage() -> str | None:
    """What this process cannot do: open a file, start a thread, reserve memory. None: all of it."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
        mmap.mmap(-1, ROOM).close()
        # Not `threading`: its count of threads tells what plugins leave behind.
        _thread.start_new_thread(lambda: None, ())
    except (OSError, RuntimeError, MemoryError) as error:
        return described(error)
    return None


class Fitness:
    """Looks for damage of this process; to be used on one event loop."""

    def __init__(self) -> None:
        """Nothing is looked at before `damaged`."""
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Look soon: a plugin has failed, and may have damaged the process, or met damage."""
        self._asked.set()

    async def damaged(self) -> str:
        """Wait until this process is damaged; what it cannot do."""
        found = damage()
        while found is None or not await self._is_lasting():
            await self._pause()
            found = damage()
        return found

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._asked.wait()
        self._asked.clear()

    async def _is_lasting(self) -> bool:
        for _ in range(LOOKS - 1):
            await asyncio.sleep(AGAIN_SECONDS)
            if damage() is None:
                return False
        return True
