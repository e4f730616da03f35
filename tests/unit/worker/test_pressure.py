"""Fewer sync runs at once while threads compete for the interpreter's lock."""

from __future__ import annotations

import threading

import pytest

from pipeline.worker.slots.pressure import BUSY, FIRST, IDLE, Pressure, adapted


def after(looks: int, busy: float, *, slots: int = FIRST, most: int = 32, full: bool = True) -> int:
    """The slots after so many looks."""
    for _ in range(looks):
        slots = adapted(slots, slots if full else 0, most, busy)
    return slots


@pytest.mark.parametrize(
    ("busy", "full", "found"),
    [(0.1, True, 32), (0.1, False, FIRST), (IDLE, True, FIRST), (BUSY, True, 1), (3.0, False, 1)],
)
def test_slots_follow_the_load(busy: float, full: bool, found: int) -> None:
    """Runs that wait get all, those that compute one; unused slots do not grow."""
    assert after(10, busy, full=full) == found


def test_slots_never_exceed_the_most() -> None:
    """From any number at the beginning."""
    assert after(1, 0.0, slots=20) == 32


def test_a_thread_that_computes_wants_a_core() -> None:
    """Its time counts, as soon as the kernel has accounted for it."""
    pressure, own = Pressure(), str(threading.get_native_id())
    before, busy = pressure._wanted[own], 0.0
    while not busy:
        sum(range(200_000))
        busy = pressure.busy()
    assert busy > 0
    assert pressure._wanted[own] > before
