"""Detects a blocked event loop from a thread, and ends the process if it stays blocked.

An `async def` plugin that does not await (CPU work, a blocking call) stops all other runs of its
process: their time limits cannot fire, nothing is settled, and no stop is noticed. The loop counts
its turns, and this thread compares the counts. A blocked loop is logged with its plugin and stack.
At the time limit of the plugin, or after `BLOCKED_LOOP_LIMIT`, the attempt of its run has failed,
the other claims return to their lists without counting an attempt, and the process ends, to be
replaced.

The plugin and its run are read from the context of the loop's current task, from this thread. So
setting a context variable for each step is the only cost while the loop is not blocked.
"""

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from core.observability.storable_text import LONGEST, storable_text
from pipeline.config.model import limit_of
from pipeline.plugins.loader import LoadedStorage, LoadedTracer
from pipeline.runs import plan
from pipeline.runs.call_scope import remaining_in
from pipeline.runs.run_state import RunState, current_run, current_step

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
"""Seconds between two checks."""
PIPELINE = str(Path(__file__).parents[1])
FRAMES = 12
"""Frames of a stack in a log line, innermost first."""


@dataclass(frozen=True, slots=True)
class LoopLimits:
    """Seconds that a loop may be blocked: until it is logged, and until the process ends."""

    warn: float
    end: float


@dataclass(frozen=True, slots=True)
class Blockage:
    """The plugin and run that block a loop; `run` is None if it is neither."""

    seconds: float
    run: RunState | None
    kind: str
    name: str
    timeout: float | None
    time_left: float
    stack: str

    @property
    def error(self) -> str:
        """The error of the attempt."""
        return f"BlockedLoop: the event loop stood still for {self.seconds:.0f} s in {self.stack}"

    def fields(self) -> dict[str, object]:
        """The fields of its log lines."""
        about: dict[str, object] = {"seconds": self.seconds, "error": self.stack}
        if self.kind:
            about[self.kind] = self.name
        if self.run is not None:
            about |= {"run": self.run.claim.run_id, "chain": self.run.chain.name}
            about["vcon"] = self.run.progress.vcon
        return about


def is_over(blockage: Blockage, limits: LoopLimits) -> bool:
    """Whether the process has to end.

    A step with its own time limit may use it up, even if it is longer than `limits.end`; the
    process never ends before the blockage has been logged.
    """
    if blockage.seconds < limits.warn:
        return False
    unlimited = limit_of(blockage.timeout, None) is None and blockage.seconds >= limits.end
    return unlimited or blockage.time_left <= 0


def blockage_of(loop: asyncio.AbstractEventLoop, thread: int, seconds: float) -> Blockage:
    """The blockage of a thread's loop, as of now."""
    task = asyncio.current_task(loop)
    context = task.get_context() if task else Context()
    step = context.get(current_step)
    stack = stack_text(sys._current_frames().get(thread))
    return Blockage(
        seconds=seconds,
        run=context.get(current_run),
        kind=_kind(step),
        name=getattr(step, "name", ""),
        timeout=getattr(step, "timeout", None),
        time_left=remaining_in(context),
        stack=stack,
    )


def _kind(step: Any) -> str:
    kinds = {LoadedStorage: "storage", LoadedTracer: "tracer", type(None): ""}
    return kinds.get(type(step), "link")


def stack_text(frame: FrameType | None) -> str:
    """A stack in one line, innermost frame first, up to the plugin's caller."""
    frames: list[str] = []
    while frame is not None and len(frames) < FRAMES:
        code = frame.f_code
        if frames and code.co_filename.startswith(PIPELINE):
            break
        frames.append(f"{code.co_filename}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return storable_text(" < ".join(frames), LONGEST)


def note_failure(blockage: Blockage, live: RunState) -> None:
    """Fail the attempt in the step that blocks the loop.

    A tracer's blockage fails the link that it was called for, which runs again.
    """
    name, reason = blockage.name, blockage.error
    match blockage.kind:
        case "link":
            live.note("link", name, "failed", blockage.seconds, reason)
        case "storage":
            live.note("storage", name, "failed", blockage.seconds, reason)
        case "tracer":
            reason = f"tracer {name}: {reason}"
            if live.steps[live.resumed :]:
                live.steps[-1].update(outcome="failed", error=reason)
    live.progress = plan.after_failure(live.progress, reason)


class Watchdog:
    """Watches one event loop in a thread."""

    def __init__(
        self,
        limits: LoopLimits,
        beat: Callable[[int], None],
        over: Callable[[Blockage], None],
    ) -> None:
        """Both are called in the thread: `beat` at each check, with the number of the loop's turns.

        `over` is called when the process has to end; it ends it.
        """
        self._limits = limits
        self._beat = beat
        self._over = over
        self._turns = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._over_now = False

    def is_fine(self) -> bool:
        """False once the loop was blocked for too long: then the lease is not renewed."""
        return not self._over_now

    def start(self) -> None:
        """Watch the running loop of this thread."""
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._turn()
        self._beat(self._turns)  # before the first claim: workers without a beat are not watched
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _turn(self) -> None:
        self._turns += 1
        if not self._stopping.is_set():
            self._loop.call_later(LOOK_SECONDS, self._turn)

    def _watch(self) -> None:
        turns, still, warned = 0, 0.0, False
        while not self._stopping.wait(LOOK_SECONDS):
            self._beat(self._turns)
            # counted in checks: time that the process was suspended does not count
            still = still + LOOK_SECONDS if self._turns == turns else 0.0
            turns, warned = self._turns, warned and still > 0
            if still >= self._limits.warn:
                warned = self._look(still, warned=warned)

    def _look(self, still: float, *, warned: bool) -> bool:
        blockage = blockage_of(self._loop, self._loop_thread, still)
        if not warned:
            log.warning("worker event loop blocked", extra=blockage.fields())
        if is_over(blockage, self._limits):
            self._over_now = True
            log.error("worker event loop blocked for too long", extra=blockage.fields())
            self._over(blockage)
            self._stopping.set()
        return True
