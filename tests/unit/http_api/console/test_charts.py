"""Numbers to coordinates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_api.console.charts import bars, sparkline, timeline

COUNTS = st.lists(st.floats(0, 1e12), max_size=70)
SPANS = st.lists(
    st.tuples(st.floats(0, 1e9), st.floats(0, 1e6)).map(lambda span: (span[0], span[0] + span[1])),
    max_size=50,
)


def points(text: str) -> list[tuple[float, float]]:
    """The points of a line."""
    return [(float(x), float(y)) for x, y in (each.split(",") for each in text.split())]


def test_a_line_from_left_to_right() -> None:
    """The highest count touches the margin at the top, zero the one at the bottom."""
    drawn = sparkline([0, 5, 10], 100, 20)
    assert points(drawn.line) == [(0, 19), (50, 10), (100, 1)]
    assert (drawn.total, drawn.peak, drawn.last) == (15, 10, 10)
    assert points(drawn.area) == [(0, 20), *points(drawn.line), (100, 20)]


@pytest.mark.parametrize("counts", [[], [0], [0, 0, 0]])
def test_nothing_is_a_level_line_at_the_bottom(counts: list[float]) -> None:
    """There is no division by zero, and the line spans the drawing."""
    drawn = points(sparkline(counts, 100, 20).line)
    assert {y for _, y in drawn} == {19}
    assert (drawn[0][0], drawn[-1][0]) == (0, 100)


@given(COUNTS)
def test_a_line_stays_inside(counts: list[float]) -> None:
    """For every list of counts."""
    for x, y in points(sparkline(counts, 120, 24).line):
        assert 0 <= x <= 120.01
        assert 0.99 <= y <= 23.01


def test_bars_are_to_scale_and_a_small_one_is_seen() -> None:
    """The greatest fills the width."""
    assert [bar.width for bar in bars([10, 5, 0.001, 0], 200)] == [200, 100, 0.5, 0]
    assert bars([], 200) == []
    assert [bar.width for bar in bars([0, 0], 200)] == [0, 0]


def test_a_timeline_is_to_scale() -> None:
    """From the first beginning to the last end."""
    drawn = timeline([(100, 110), (110, 140)], 400)
    assert [tuple(bar) for bar in drawn.bars] == [(0, 100), (100, 300)]
    assert [tuple(tick) for tick in drawn.ticks] == [
        (0, 0),
        (100, 10),
        (200, 20),
        (300, 30),
        (400, 40),
    ]


@given(SPANS)
def test_bars_of_a_timeline_stay_inside(spans: list[tuple[float, float]]) -> None:
    """A span without length at the end, too."""
    for bar in timeline(spans, 400).bars:
        assert bar.width >= 1
        assert -0.01 <= bar.x <= 400.01
        assert bar.x + bar.width <= 400.02
