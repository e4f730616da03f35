"""Quantiles are in the right bucket, and none is beyond the bounds."""

from __future__ import annotations

import math
from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from core.observability.metrics import FINE_SECONDS
from pipeline.minutes.histogram import LOWEST, Histogram

BOUNDS = (*FINE_SECONDS, math.inf)


def bound_of(seconds: float) -> float:
    """The upper bound of the bucket for a duration."""
    return BOUNDS[bisect_left(BOUNDS, seconds)]


@given(st.lists(st.floats(0.0006, 1800), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_in_the_bucket_of_the_true_one(seconds: list[float], share: float) -> None:
    """The estimate is in the bucket in which the duration of that rank is."""
    histogram = Histogram()
    for each in seconds:
        histogram.add(Histogram({bound_of(each): 1}, each))
    exact = sorted(seconds)[max(math.ceil(share * len(seconds)) - 1, 0)]
    found = histogram.quantile(share)
    assert found is not None
    below = max((each for each in BOUNDS if each < bound_of(exact)), default=LOWEST)
    assert below <= found * 1.0000001
    assert found <= bound_of(exact) * 1.0000001


def test_nothing_has_no_quantile() -> None:
    """None without any duration, also if a bucket is there with none."""
    assert Histogram().quantile(0.5) is None
    assert Histogram({0.5: 0}).quantile(0.5) is None


def test_above_the_last_bound_the_bound_is_told() -> None:
    """No number is made up for runs of more than half an hour."""
    assert Histogram({math.inf: 3}).quantile(0.95) == FINE_SECONDS[-1]
