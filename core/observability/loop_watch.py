"""Naming what keeps an event loop from turning: the task that it is in, and the place in the code.

The loop notes the time at each of its beats. A thread compares; when the last beat is too long ago,
it logs one line in the context of the task that the loop is in, so that the line has the request's
or the run's fields. What holds the interpreter's lock as well is logged when it has let go, by
`stepwise`, which measures every step of a coroutine.
"""

import asyncio
import logging
import sys
import threading
import time
import types
from collections.abc import Awaitable, Generator
from contextvars import Context
from pathlib import Path
from types import FrameType
from typing import Any

log = logging.getLogger(__name__)

BLOCKED_AFTER = 1.0
"""Seconds without a turn of the loop that are worth a line."""
BEAT = 0.25
OURS = Path(__file__).resolve().parents[2]
_LIBRARIES = ("site-packages", "dist-packages", f"python{sys.version_info.major}.")


class LoopWatch:
    """Watches the loop that `start` is called on."""

    def __init__(self, after: float = BLOCKED_AFTER) -> None:
        """`after`: seconds without a beat until a line is logged, once for each blockage."""
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
        """Watch no more."""
        self._stopping.set()
        if self._handle is not None:
            self._handle.cancel()
        if self._thread is not None:
            self._thread.join()

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._beat_at = time.monotonic()
        self._handle = loop.call_later(BEAT, self._beat, loop)

    def _watch(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        told = 0.0
        while not self._stopping.wait(BEAT):
            beat = self._beat_at
            late = time.monotonic() - beat - BEAT
            if late >= self._after and told != beat:
                told = beat
                _tell(loop, thread, late)


def _tell(loop: asyncio.AbstractEventLoop, thread: int, seconds: float) -> None:
    task = asyncio.current_task(loop)
    context = task.get_context().copy() if task is not None else Context()
    place = _place(sys._current_frames().get(thread))
    context.run(
        log.warning,
        "event loop blocked",
        extra={"seconds": round(seconds, 1), "error": f"does not return: {place}"},
    )


def _place(frame: FrameType | None) -> str:
    """The innermost place that is in no library, else the innermost one."""
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


@types.coroutine
def stepwise(work: Awaitable[Any]) -> Generator[Any, Any, Any]:
    """Await `work`; a step that blocks the loop for `BLOCKED_AFTER` is logged at its end.

    The line carries the fields of the present context, which name the action.
    """
    steps = work.__await__()
    step, given = steps.send, None
    while True:
        began = time.perf_counter()
        try:
            awaited = step(given)
        except StopIteration as end:
            return end.value
        finally:
            if (seconds := time.perf_counter() - began) >= BLOCKED_AFTER:
                log.warning("event loop was blocked", extra={"seconds": round(seconds, 1)})
        try:
            step, given = steps.send, (yield awaited)
        except BaseException as error:  # noqa: BLE001 -- what is thrown in goes on to the work
            step, given = steps.throw, error
