"""Sees from a thread whether the event loop goes on, and ends the process when it does not.

An `async def` plugin that does not await (CPU work, a blocking call) stops every other run of its
process: their time limits cannot fire, nothing is settled, and a stop is not heard. The loop counts
its turns; this thread compares. A loop that stands still is reported with the plugin that is on it
and the stack. At the limit of the plugin's step, or `BLOCKED_LOOP_LIMIT`, the attempt of its run
has failed, the neighbours are given back unblamed, and the process ends, to be replaced.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Protocol

from pipeline.blockage import Blockage, LoopLimits, blockage_of, is_over

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.25


class Beats(Protocol):
    """Where the watchdog leaves its counts for the service."""

    def beat(self, turns: int) -> None:
        """It has looked, and the loop has had so many turns."""
        ...


class Watchdog:
    """One thread for one event loop."""

    def __init__(
        self, limits: LoopLimits, beats: Beats | None, over: Callable[[Blockage], None]
    ) -> None:
        """`over` is called in the thread when the process has to end, and ends it."""
        self._limits = limits
        self._beats = beats
        self._over = over
        self._turns = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._over_now = False

    def is_fine(self) -> bool:
        """False once the loop has stood still for too long: the lease is kept no longer."""
        return not self._over_now

    def start(self) -> None:
        """Watch the running loop of this thread."""
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._turn()
        self._beat()  # before anything is claimed: what has not begun is not watched
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _turn(self) -> None:
        self._turns += 1
        if not self._stopping.is_set():
            self._loop.call_later(LOOK_SECONDS, self._turn)

    def _beat(self) -> None:
        if self._beats is not None:
            self._beats.beat(self._turns)

    def _watch(self) -> None:
        turns, still, warned = 0, 0.0, False
        while not self._stopping.wait(LOOK_SECONDS):
            self._beat()
            # counted in looks: a process that was stopped has not stood still meanwhile
            still = still + LOOK_SECONDS if self._turns == turns else 0.0
            turns, warned = self._turns, warned and still > 0
            if still >= self._limits.warn:
                warned = self._look(still, warned=warned)

    def _look(self, still: float, *, warned: bool) -> bool:
        blockage = blockage_of(self._loop, self._loop_thread, still)
        if not warned:
            log.warning("event loop stands still", extra=blockage.fields())
        if is_over(blockage, self._limits):
            self._over_now = True
            log.error("event loop stood still for too long", extra=blockage.fields())
            self._over(blockage)
            self._stopping.set()
        return True
