"""What is on an event loop that stands still, and when the process has to end for it."""

from __future__ import annotations

import asyncio
import math
import sys
import threading

import pytest

from pipeline.config.parser import LinkStep, PluginSpec
from pipeline.runs.call_scope import time_limit
from pipeline.runs.run_state import current_step
from pipeline.worker.watchdog import Blockage, LoopLimits, blockage_of, is_over, stack_text

LIMITS = LoopLimits(warn=5, end=60)


@pytest.mark.parametrize(
    ("seconds", "timeout", "time_left", "over"),
    [
        (4, None, math.inf, False),
        (59, None, math.inf, False),
        (60, None, math.inf, True),
        (6, 10.0, 4.0, False),
        (10, 10.0, 0.0, True),
        (3, 2.0, -1.0, False),  # not before it has been reported
        (5, 2.0, -3.0, True),
        (100, 300.0, 200.0, False),  # a step with a limit of its own has that long
        (20, None, -1.0, True),  # the chain's time is over
    ],
)
def test_when_the_process_ends(
    seconds: float, timeout: float | None, time_left: float, over: bool
) -> None:
    """At the limit of the step, else at the one for all; never before the report."""
    blockage = Blockage(seconds, None, "link", "a", timeout, time_left, "here")
    assert is_over(blockage, LIMITS) is over


async def test_what_is_on_the_loop_is_seen_from_another_thread() -> None:
    """The step, its time limit, how much of the time is left, and where its code stands."""
    loop, thread = asyncio.get_running_loop(), threading.get_ident()
    seen: list[Blockage] = []

    def look() -> None:
        seen.append(blockage_of(loop, thread, 7.0))

    async def blocks() -> None:
        current_step.set(LinkStep("slow", PluginSpec("slow", "test", options={}), timeout=50))
        async with time_limit(50):
            (other := threading.Thread(target=look)).start()
            other.join()

    await asyncio.create_task(blocks())
    [blockage] = seen
    assert (blockage.kind, blockage.name, blockage.timeout) == ("link", "slow", 50)
    assert 0 < blockage.time_left <= 50
    assert "blocks" in blockage.stack
    assert blockage.fields()["link"] == "slow"


async def test_a_loop_on_no_runs_behalf() -> None:
    """Nothing is put down to a run, and no limit but the one for all counts."""
    (idle := asyncio.new_event_loop()).close()
    blockage = blockage_of(idle, 0, 60.0)
    assert (blockage.run, blockage.kind, blockage.stack) == (None, "", "")
    assert is_over(blockage, LIMITS)


def test_a_stack_can_be_stored() -> None:
    """A file may have any name."""
    scope: dict[str, object] = {"sys": sys}
    exec(compile("frame = sys._getframe()", "/odd/\udcff.py", "exec"), scope)
    stack_text(scope["frame"]).encode()  # type: ignore[arg-type]
