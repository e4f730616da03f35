"""A page of memory that a worker shares with its service: whether the worker makes progress.

The service makes a file without a name, hands its descriptor down (`PROGRESS_FD`) and maps the same
page. The worker counts there: turns of its event loop, and looks of its watchdog's thread. A C call
that holds the interpreter's lock stops both counts and every thread of the worker, so that nothing
inside could report it; the service sees it in the page.

SIGPROF makes the worker write the stacks of all its threads behind the page and end. The C handler
of `faulthandler` does that without the interpreter's lock. The kernel sends the same signal by
itself (`ITIMER_PROF`) to a worker that burns CPU without its watchdog looking: one whose service is
gone ends, too.
"""

import contextlib
import faulthandler
import mmap
import os
import signal
import tempfile

PAGE = mmap.PAGESIZE
STACK_BYTES = 16_000
"""How much of the stacks is read."""


class WorkerProgress:
    """The worker's side."""

    def __init__(self, descriptor: int, stall_limit: float) -> None:
        """`stall_limit`: seconds without progress after which the service ends this process."""
        self._counts = memoryview(mmap.mmap(descriptor, PAGE)).cast("Q")
        self._patience = 2 * stall_limit  # the service comes first, as long as it is there
        os.lseek(descriptor, PAGE, os.SEEK_SET)
        faulthandler.register(signal.SIGPROF, file=descriptor, all_threads=True, chain=True)

    def beat(self, turns: int) -> None:
        """The watchdog has looked, and has found that the loop has had so many turns."""
        self._counts[0] = turns
        self._counts[1] += 1
        signal.setitimer(signal.ITIMER_PROF, self._patience)

    def stop(self) -> None:
        """This process is ending: it is not watched any more."""
        self._counts[1] = 0
        signal.setitimer(signal.ITIMER_PROF, 0)


class SeenProgress:
    """The service's side, for one worker."""

    def __init__(self) -> None:
        """A fresh page: the worker has not begun."""
        with tempfile.TemporaryFile(buffering=0) as file:
            file.truncate(PAGE)
            self.descriptor = os.dup(file.fileno())
        self._counts = memoryview(mmap.mmap(self.descriptor, PAGE)).cast("Q")
        self._last = (0, 0)
        self.loop_still = 0.0
        """Seconds in which the worker's event loop has had no turn."""
        self.still = 0.0
        """Seconds in which no Python thread of the worker has run."""

    def look(self, seconds: float) -> None:
        """Compare with the last look, so many seconds ago.

        Only looks count as time: when the service was stopped itself, no worker has stood still.
        """
        turns, looks = self._counts[0], self._counts[1]
        begun = looks > 0
        self.loop_still = self.loop_still + seconds if begun and turns == self._last[0] else 0.0
        self.still = self.still + seconds if begun and looks == self._last[1] else 0.0
        self._last = (turns, looks)

    def stacks(self) -> str:
        """The stacks of the worker's threads, if it has ended by SIGPROF; else empty."""
        with contextlib.suppress(OSError):
            return os.pread(self.descriptor, STACK_BYTES, PAGE).decode(errors="replace")
        return ""

    def close(self) -> None:
        """The worker is gone."""
        self._counts.release()
        os.close(self.descriptor)
