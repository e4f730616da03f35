"""What ends a process, as events."""

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable

ORPHAN_SECONDS = 3.0
"""Seconds that a process has for an orderly end when the one that started it is gone."""
EXIT_ORPHANED = 4
LINGER = 1.0
"""Seconds that letting go may take, once everything has been given back."""


class StopSignals:
    """SIGTERM and SIGINT: the first one asks to stop, another one asks to hurry."""

    def __init__(self) -> None:
        """Handle the signals from now on."""
        self.asked = asyncio.Event()
        self.hurry = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self._received)

    def _received(self) -> None:
        (self.hurry if self.asked.is_set() else self.asked).set()


def on_hangup(react: Callable[[], None]) -> None:
    """Call `react` on SIGHUP: the configuration shall be read again."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, react)


async def until(event: asyncio.Event) -> None:
    """Return when it is set."""
    await event.wait()


def on_input(
    *, said: Callable[[], None], closed: Callable[[], None], stuck: Callable[[], None]
) -> None:
    """Listen to the process that started this one, on standard input, in a thread.

    On the running event loop, calls `said` when something comes, and `closed` when nothing more
    can: that process is gone. If this one has not ended `ORPHAN_SECONDS` later, since its event
    loop stands still, `stuck` is called in the thread, and the process ends.
    """
    loop = asyncio.get_running_loop()

    def listen() -> None:
        while _read_some():
            loop.call_soon_threadsafe(said)
        end_within(2 * ORPHAN_SECONDS, EXIT_ORPHANED)
        with contextlib.suppress(RuntimeError):  # the loop has just been closed
            loop.call_soon_threadsafe(closed)
        time.sleep(ORPHAN_SECONDS)
        stuck()
        os._exit(EXIT_ORPHANED)

    threading.Thread(target=listen, name="input", daemon=True).start()


def _read_some() -> bytes:
    try:
        return os.read(0, 4096)  # not sys.stdin, whose lock Python wants back at the end
    except OSError:
        return b""


def end_by_alarm(seconds: float) -> None:
    """End this process by then, by a signal: for one that may be unable to start a thread."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def end_within(seconds: float, exit_code: int) -> None:
    """End this process by then, even if a plugin's thread, which nobody can stop, runs on."""
    timer = threading.Timer(seconds, os._exit, [exit_code])
    timer.daemon = True
    timer.start()
