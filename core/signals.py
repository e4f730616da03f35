"""What ends a process, as events."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import override

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


class _Input(asyncio.Protocol):
    def __init__(self, said: Callable[[], None], closed: Callable[[], None]) -> None:
        self._said = said
        self._closed = closed

    @override
    def data_received(self, data: bytes) -> None:
        self._said()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._closed()


async def on_input(*, said: Callable[[], None], closed: Callable[[], None]) -> None:
    """Listen to whoever started this process, on standard input.

    Calls `said` whenever something comes, and `closed` when nothing more can: they are gone.
    """
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: _Input(said, closed), sys.stdin)


def end_within(seconds: float, exit_code: int) -> None:
    """End this process by then, even if a guest's thread, which nobody can stop, runs on."""
    timer = threading.Timer(seconds, os._exit, [exit_code])
    timer.daemon = True
    timer.start()
