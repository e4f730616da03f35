"""Waits between attempts."""

import pytest

from core.concurrency.backoff import LONGER, Backoff


def test_waits_double_up_to_the_cap() -> None:
    """Each wait is twice the one before, until the cap."""
    backoff = Backoff(first=1.0, cap=30.0)
    assert [backoff.wait(attempt) for attempt in range(7)] == [1, 2, 4, 8, 16, 30, 30]


def test_waiting_for_ever_stays_at_the_cap() -> None:
    """No number of attempts overflows."""
    assert Backoff(first=0.5, cap=30.0).wait(10**9) == 30.0
    assert Backoff(first=1e300, cap=1e308).wait(10**9) == 1e308


@pytest.mark.parametrize(
    ("jitter", "wait"), [(0.0, 4.0), (0.5, 3.0), (1.0, 2.0), (-3.0, 4.0), (9.0, 2.0)]
)
def test_jitter_only_shortens_and_by_half_at_most(jitter: float, wait: float) -> None:
    """The wait is between half and all of its full length for each value of the jitter."""
    assert Backoff(first=1.0, cap=30.0, jitter=lambda: jitter).wait(2) == wait


@pytest.mark.parametrize(("attempt", "wait"), [(0, 1.25), (2, 5.0), (3, 8.0)])
def test_jitter_may_lengthen_up_to_the_cap(attempt: int, wait: float) -> None:
    """With a positive spread a wait is longer, but not longer than the cap."""
    assert Backoff(first=1.0, cap=8.0, jitter=lambda: 1.0, spread=LONGER).wait(attempt) == wait


@pytest.mark.parametrize(("first", "cap"), [(0.0, 1.0), (-1.0, 1.0), (2.0, 1.0)])
def test_a_backoff_that_cannot_wait_is_refused(first: float, cap: float) -> None:
    """A first wait that is not positive, or over the cap, is the caller's mistake."""
    with pytest.raises(ValueError, match="first"):
        Backoff(first=first, cap=cap)
