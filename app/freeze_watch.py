"""Ends a process in which one thread holds the interpreter's lock for too long.

C code called by a plugin may do that, for example a regular expression of exponential cost in the
`get()` of a storage that GetVcon reads from. No Python thread runs meanwhile, so Python code can
neither detect nor log it. The timer of `faulthandler` runs without the lock. A thread restarts the
timer as long as it gets the lock; otherwise the timer expires, writes the stacks of all threads to
standard error and ends the process with exit code 1.
"""

import faulthandler
import threading

STDERR = 2
LOOKS = 4
"""Restarts of the timer within the limit."""


class FreezeWatch:
    """At most one in a process, since `faulthandler` has a single timer."""

    def __init__(self, seconds: float) -> None:
        """`seconds`: longest time that one thread may hold the interpreter's lock."""
        self._seconds = seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="freeze watch", daemon=True)

    def start(self) -> None:
        """Start the timer and the thread that restarts it."""
        self._restart_timer()  # the new thread may not get the lock any more
        self._thread.start()

    def stop(self) -> None:
        """Stop both; returns when the timer is cancelled."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.is_set():
            self._restart_timer()
            self._stopping.wait(self._seconds / LOOKS)
        faulthandler.cancel_dump_traceback_later()

    def _restart_timer(self) -> None:
        faulthandler.dump_traceback_later(self._seconds, exit=True, file=STDERR)
