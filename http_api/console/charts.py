"""Charts: numbers to coordinates of SVG elements, as attributes; the templates draw them.

Each chart also has a text that says the same, for those who do not see it.
"""

from collections.abc import Sequence
from typing import NamedTuple

SHORTEST = 1e-6
"""Seconds of a timeline; a shorter one is a single moment."""
TICKS = 4
"""Intervals on the axis of a timeline."""


class Sparkline(NamedTuple):
    """A line over the last minutes; `line` and `area` are lists of points."""

    line: str
    area: str
    total: int
    peak: int
    last: int


class Bar(NamedTuple):
    """A horizontal bar: where it begins and how long it is, in the units of the drawing."""

    x: float
    width: float


class Tick(NamedTuple):
    """A mark on an axis."""

    x: float
    value: float


class Timeline(NamedTuple):
    """Bars to one scale, and the marks of its axis in seconds from the beginning."""

    bars: Sequence[Bar]
    ticks: Sequence[Tick]


def sparkline(counts: Sequence[float | None], width: float, height: float) -> Sparkline:
    """A line of counts from left to right; the highest one touches the top.

    A margin of one unit keeps the line inside the drawing. No number, or only one, is a level line;
    a number that is not known counts as zero.
    """
    values = [max(0.0, float(each or 0)) for each in counts] or [0.0]
    if len(values) == 1:
        values *= 2
    peak, step = max(values), width / (len(values) - 1)
    points = [(n * step, _level(each, peak, height)) for n, each in enumerate(values)]
    line = " ".join(f"{_short(x)},{_short(y)}" for x, y in points)
    area = f"0,{_short(height)} {line} {_short(width)},{_short(height)}"
    return Sparkline(
        line, area, round(sum(each or 0 for each in counts)), round(peak), round(values[-1])
    )


def _level(value: float, peak: float, height: float) -> float:
    return height - 1 - (value / peak if peak else 0.0) * (height - 2)


def bars(values: Sequence[float], width: float) -> list[Bar]:
    """One bar for each value from the left edge; the greatest fills the width.

    A value above zero has at least half a unit, so that it can be seen.
    """
    most = max(values, default=0.0)
    return [Bar(0.0, _length(each, most, width)) for each in values]


def part(value: float, whole: float, width: float) -> Bar:
    """One bar for a part of a whole that fills the width."""
    return Bar(0.0, min(width, _length(value, whole, width)))


def _length(value: float, most: float, width: float) -> float:
    if value <= 0 or most <= 0:
        return 0.0
    return round(max(0.5, value / most * width), 2)


def timeline(spans: Sequence[tuple[float, float]], width: float) -> Timeline:
    """Bars for spans of (begin, end) in seconds, to one scale.

    The scale begins with the first span and ends with the last. A bar has at least one unit, and
    lies inside the drawing.
    """
    if not spans:
        return Timeline([], [])
    first, last = min(begin for begin, _ in spans), max(end for _, end in spans)
    scale = width / (last - first) if last - first > SHORTEST else 0.0
    found = [_span(begin - first, end - first, scale, width) for begin, end in spans]
    marks = range(TICKS + 1) if scale else range(1)
    return Timeline(
        found, [Tick(round(width * n / TICKS, 2), (last - first) * n / TICKS) for n in marks]
    )


def _span(begin: float, end: float, scale: float, width: float) -> Bar:
    length = min(width, max(1.0, (end - begin) * scale))
    return Bar(round(min(begin * scale, width - length), 2), round(length, 2))


def _short(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
