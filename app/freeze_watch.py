"""Ends a process in which one thread holds the interpreter's lock for too long.

A plugin's C code may do that: a regular expression of exponential cost, in the `get()` of a storage
that GetVcon reads from. No other thread runs then, so nothing in Python can see it or log it. The
timer of `faulthandler` runs without the lock. A thread sets it anew as long as it gets the lock;
when it does not, the timer writes the stacks of all threads to standard error and ends the process.
"""

import faulthandler
import threading

STDERR = 2
LOOKS = 4
"""How often the timer is set anew within the limit."""


class FreezeWatch:
    """One for a process: there is one such timer."""

    def __init__(self, seconds: float) -> None:
        """`seconds`: how long the lock may be held without a break."""
        self._seconds = seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="freeze watch", daemon=True)

    def start(self) -> None:
        """Watch from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.is_set():
            faulthandler.dump_traceback_later(self._seconds, exit=True, file=STDERR)
            self._stopping.wait(self._seconds / LOOKS)
        faulthandler.cancel_dump_traceback_later()
