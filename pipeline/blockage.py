"""What is on an event loop that stands still, and what that means for the run it is put down to.

Which run that is, is read off the context of the loop's current task, from another thread: setting
a context variable for each step is all that it costs while everything goes well.
"""

import asyncio
import sys
from contextvars import Context
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from core.storable_text import LONGEST, storable_text
from pipeline import chain as plan
from pipeline.config_model import limit_of
from pipeline.deadline import remaining_in
from pipeline.live_run import LiveRun, current_run, current_step
from pipeline.modules import LoadedStorage, LoadedTracer

PIPELINE = str(Path(__file__).parent)
FRAMES = 12
"""How many frames of a stack are told, innermost first."""


@dataclass(frozen=True, slots=True)
class LoopLimits:
    """Seconds that a loop may stand still: `warn` until it is reported, `end` until the end."""

    warn: float
    end: float


@dataclass(frozen=True, slots=True)
class Blockage:
    """What is on a loop that stands still. `run` is None when it is on no run's behalf."""

    seconds: float
    run: LiveRun | None
    kind: str
    name: str
    timeout: float | None
    time_left: float
    stack: str

    @property
    def error(self) -> str:
        """What the attempt failed with."""
        return f"BlockedLoop: the event loop stood still for {self.seconds:.0f} s in {self.stack}"

    def fields(self) -> dict[str, object]:
        """What its log lines say."""
        about: dict[str, object] = {"seconds": self.seconds, "error": self.stack}
        if self.kind:
            about[self.kind] = self.name
        if self.run is not None:
            about |= {"run": self.run.claim.run_id, "chain": self.run.chain.name}
            about["vcon"] = self.run.progress.vcon
        return about


def is_over(blockage: Blockage, limits: LoopLimits) -> bool:
    """Whether the process has to end.

    A step with a time limit of its own has that long, even if it is longer than `limits.end`; but
    no process ends before the blockage has been reported.
    """
    if blockage.seconds < limits.warn:
        return False
    unlimited = limit_of(blockage.timeout, None) is None and blockage.seconds >= limits.end
    return unlimited or blockage.time_left <= 0


def blockage_of(loop: asyncio.AbstractEventLoop, thread: int, seconds: float) -> Blockage:
    """What is on the loop of a thread just now."""
    task = asyncio.current_task(loop)
    context = task.get_context() if task else Context()
    step = context.get(current_step)
    stack = told(sys._current_frames().get(thread))
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


def told(frame: FrameType | None) -> str:
    """A stack in one storable line, innermost frame first, down to what called the plugin."""
    frames: list[str] = []
    while frame is not None and len(frames) < FRAMES:
        code = frame.f_code
        if frames and code.co_filename.startswith(PIPELINE):
            break
        frames.append(f"{code.co_filename}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return storable_text(" < ".join(frames), LONGEST)


def note_failure(blockage: Blockage, live: LiveRun) -> None:
    """The attempt of its run has failed, in the step that is on the loop.

    What a tracer blocks is put down to the link that it was told about, which runs again.
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
