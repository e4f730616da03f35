"""`asyncio.get_event_loop()` in a sync plugin, which runs in a thread.

In vcon-server plugins run in the main thread, where that call makes a loop; in any other thread it
raises. So each thread of a plugin has a loop set before every call. It costs nothing until it is
used: only then is a real one made, which goes with the thread.
"""

import asyncio
import threading
from typing import Any

_threads = threading.local()


class ThreadLoop(asyncio.AbstractEventLoop):
    """Stands for a loop of this thread that is made when it is first used, or again once closed."""

    def __init__(self) -> None:
        self._real: asyncio.AbstractEventLoop | None = None

    def __getattribute__(self, name: str) -> Any:
        if name in _OWN:
            return object.__getattribute__(self, name)
        return getattr(object.__getattribute__(self, "real")(), name)

    def real(self) -> asyncio.AbstractEventLoop:
        """The loop itself."""
        if self._real is None:
            self._real = asyncio.new_event_loop()
        return self._real

    def renew(self) -> None:
        """Forget a loop that a plugin has closed."""
        if self._real is not None and self._real.is_closed():
            self._real = None

    def __del__(self) -> None:
        if self._real is not None and not self._real.is_closed():
            self._real.close()


_OWN = ("_real", "real", "renew", "__class__", "__del__", "__init__", "__dict__")


def provide() -> None:
    """See that `asyncio.get_event_loop()` works in this thread."""
    loop: ThreadLoop | None = getattr(_threads, "loop", None)
    if loop is None:
        loop = _threads.loop = ThreadLoop()  # type: ignore[abstract]  # all of it is the real one's
    loop.renew()
    asyncio.set_event_loop(loop)
