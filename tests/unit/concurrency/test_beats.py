"""Pauses of one process that end together."""

from __future__ import annotations

import pytest

from core.concurrency.aio import BEGAN, until_beat


@pytest.mark.parametrize("seconds", [0.25, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("late", [0.0, 0.001, 0.2, 0.4, 0.9, 7.3])
def test_every_pause_ends_at_a_beat_of_its_length(seconds: float, late: float) -> None:
    """However long the task took before it, and never at once."""
    now = BEGAN + 100 + late
    pause = until_beat(seconds, now)
    beats = (now + pause - BEGAN) / seconds
    assert beats == pytest.approx(round(beats))
    assert seconds / 2 <= pause <= 1.5 * seconds


def test_tasks_with_several_intervals_wake_an_idle_process_together() -> None:
    """In ten seconds as often as the most frequent of them, not as all of them."""
    woken = set[float]()
    for seconds, offset in ((0.5, 0.1), (0.5, 0.3), (1.0, 0.7), (2.0, 0.2), (5.0, 0.4)):
        now = BEGAN + offset
        while (now := now + until_beat(seconds, now)) < BEGAN + 10:
            woken.add(round(now - BEGAN, 3))
    assert len(woken) <= 20


def test_no_pause_is_none() -> None:
    """Tests may repeat without pauses."""
    assert until_beat(0.0) == 0.0
