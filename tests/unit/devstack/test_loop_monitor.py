"""How long the turns of an event loop take is told in CPU time."""

import asyncio
import time
from pathlib import Path

import orjson

from devstack.loop_monitor import LoopMonitor

SECONDS = 0.01


def compute() -> None:
    """Use the thread's CPU for that long."""
    ends = time.thread_time() + SECONDS
    while time.thread_time() < ends:
        pass


async def test_a_turn_that_computes(tmp_path: Path) -> None:
    """It is told, until the monitor is set back."""
    monitor = LoopMonitor()
    await asyncio.sleep(0.002)
    compute()
    await asyncio.sleep(0.002)
    monitor.write(tmp_path / "held.json")
    assert orjson.loads((tmp_path / "held.json").read_bytes())["cpu"] >= SECONDS
    monitor.reset()
    assert monitor.stop().cpu == 0


async def test_a_thread_that_computes() -> None:
    """It does not count as the loop's CPU time: the loop waits for it meanwhile."""
    before = time.thread_time()
    monitor = LoopMonitor()
    await asyncio.to_thread(compute)
    used = time.thread_time() - before
    assert monitor.stop().cpu <= used
