"""Logs what blocks an event loop: the current task and the place in the code.

The loop records the time at each beat, and a thread checks it. When the last beat is too long ago,
the thread logs a line in the context of the loop's current task, with the fields of its request or
run. Code that also holds the interpreter's lock stops that thread; it is logged at its end by
`core.rpc.dispatcher.stepwise`, which measures every step of a coroutine.
"""

import asyncio
import logging
import sys
import threading
import time
from contextvars import Context
from pathlib import Path
from types import FrameType

from core.concurrency.aio import until_beat

log = logging.getLogger(__name__)

BLOCKED_AFTER = 1.0
"""Seconds without a turn of the loop that are logged."""
BEAT = 0.25
OURS = Path(__file__).resolve().parents[2]
_LIBRARIES = ("site-packages", "dist-packages", f"python{sys.version_info.major}.")


class LoopWatch:
    """Watches one event loop."""

    def __init__(self, after: float = BLOCKED_AFTER) -> None:
        """`after`: seconds without a beat until a line is logged, once for each interruption."""
        self._after = after
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._beat_at = 0.0
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Watch the running loop until `stop`."""
        loop = asyncio.get_running_loop()
        self._beat(loop)
        watched = loop, threading.get_ident()
        self._thread = threading.Thread(
            target=self._watch, args=watched, name="loop watch", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop the beats and the thread."""
        self._stopping.set()
        if self._handle is not None:
            self._handle.cancel()
        if self._thread is not None:
            self._thread.join()

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._beat_at = time.monotonic()
        self._handle = loop.call_later(until_beat(BEAT), self._beat, loop)

    def _watch(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        reported = 0.0
        while not self._stopping.wait(BEAT):
            beat = self._beat_at
            late = time.monotonic() - beat - BEAT
            if late >= self._after and reported != beat:
                reported = beat
                _report(loop, thread, late)


def _report(loop: asyncio.AbstractEventLoop, thread: int, seconds: float) -> None:
    task = asyncio.current_task(loop)
    context = task.get_context().copy() if task is not None else Context()
    place = _place(sys._current_frames().get(thread))
    context.run(
        log.warning,
        "event loop blocked",
        extra={"seconds": round(seconds, 1), "error": f"does not return: {place}"},
    )


def _place(frame: FrameType | None) -> str:
    """The innermost frame outside libraries, otherwise the innermost one."""
    innermost = frame
    while frame is not None and any(part in frame.f_code.co_filename for part in _LIBRARIES):
        frame = frame.f_back
    frame = frame or innermost
    if frame is None:
        return "unknown place"
    return f"{frame.f_code.co_qualname} ({_short(frame.f_code.co_filename)}:{frame.f_lineno})"


def _short(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(OURS)) if path.is_relative_to(OURS) else file
