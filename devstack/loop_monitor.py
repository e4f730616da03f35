"""Measures for how long the turns of an event loop hold it.

A timer fires every millisecond. Between two of its calls the loop's thread carries out one turn,
or a little more, so the thread's CPU time between them is that of the longest turn, independent of
other programs on the machine. The wall time by which a call is late also includes waiting for the
interpreter's lock, which another thread may hold, and for a processor.
"""

import asyncio
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

EVERY = 0.001
"""Seconds between two calls of the timer."""


@dataclass(slots=True)
class Held:
    """The longest holds of a loop so far, in seconds."""

    cpu: float = 0.0
    """CPU time of the loop's thread."""
    late: float = 0.0
    """Wall time by which the timer was late."""


class LoopMonitor:
    """Watches the running loop from its creation until `stop`."""

    def __init__(self) -> None:
        """Starts at once; call it on the loop."""
        self.held = Held()
        self._loop = asyncio.get_running_loop()
        self._begin()

    def _begin(self) -> None:
        self._cpu, self._due = time.thread_time(), time.perf_counter() + EVERY
        self._timer = self._loop.call_later(EVERY, self._fired)

    def _fired(self) -> None:
        self.held.cpu = max(self.held.cpu, time.thread_time() - self._cpu)
        self.held.late = max(self.held.late, time.perf_counter() - self._due)
        self._begin()

    def reset(self) -> None:
        """Forget the holds so far; the turn that calls this does not count either."""
        self._timer.cancel()
        self.held = Held()
        self._begin()

    def stop(self) -> Held:
        """End; returns the longest holds."""
        self._timer.cancel()
        return self.held

    def write(self, file: Path) -> None:
        """Write the longest holds so far as JSON."""
        file.write_text(json.dumps(asdict(self.held)))
