"""Signals and the end of the parent process as events; exits that no thread can prevent."""

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable

ORPHAN_SECONDS = 3.0
"""Seconds for an orderly end of a worker whose service process is gone."""
EXIT_ORPHANED = 4
LINGER = 1.0
"""Most seconds for closing connections and threads after the last request or run."""


class StopSignals:
    """SIGTERM and SIGINT: the first one sets `asked`, a later one `hurry`."""

    def __init__(self) -> None:
        """Replace the handlers of both signals on the running loop."""
        self.asked = asyncio.Event()
        self.hurry = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self._received)

    def _received(self) -> None:
        (self.hurry if self.asked.is_set() else self.asked).set()


def on_hangup(react: Callable[[], None]) -> None:
    """Call `react` on SIGHUP, which requests a reload of the configuration."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, react)


async def until(event: asyncio.Event) -> None:
    """Return when the event is set; a coroutine for `create_task`."""
    await event.wait()


def on_input(
    *, received: Callable[[], None], closed: Callable[[], None], stuck: Callable[[], None]
) -> None:
    """Read standard input, which the service process writes to, in a thread.

    `received` is called on the running event loop for each piece of input, `closed` at the end of
    the input: the service process is gone. If this process still runs `ORPHAN_SECONDS` later,
    because its event loop is blocked, `stuck` is called in the thread and the process ends.
    """
    loop = asyncio.get_running_loop()

    def listen() -> None:
        while _read_some():
            loop.call_soon_threadsafe(received)
        end_within(2 * ORPHAN_SECONDS, EXIT_ORPHANED)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(closed)
        time.sleep(ORPHAN_SECONDS)
        stuck()
        os._exit(EXIT_ORPHANED)

    threading.Thread(target=listen, name="input", daemon=True).start()


def _read_some() -> bytes:
    try:
        return os.read(0, 4096)  # sys.stdin has a lock that the interpreter takes at its end
    except OSError:
        return b""


def end_by_alarm(seconds: float) -> None:
    """End this process after so many seconds by SIGALRM, which needs no thread."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def end_within(seconds: float, exit_code: int) -> None:
    """End this process after so many seconds, even if a plugin's thread still runs."""
    timer = threading.Timer(seconds, os._exit, [exit_code])
    timer.daemon = True
    timer.start()
