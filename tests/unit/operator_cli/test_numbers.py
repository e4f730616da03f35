"""Seconds, bytes and rates as they are shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from app.operator_cli.numbers import at, counts, rate, size, span


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        *((None, None), (0, "0 ms"), (0.35, "350 ms"), (4.2, "4.2 s"), (60, "1m 0s")),
        *((725, "12m 5s"), (12_000, "3h 20m"), (200_000, "2d 7h"), (-4.2, "-4.2 s")),
    ],
)
def test_spans(seconds: float | None, expected: str | None) -> None:
    """The two largest units."""
    assert span(seconds) == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2.5e9, "2.5 GB"), (1e18, "1000000.0 TB")],
)
def test_sizes(count: float, expected: str) -> None:
    """Decimal units."""
    assert size(count) == expected


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        (UTC, "2026-11-30 03:35:26"),
        (timezone(timedelta(hours=2)), "2026-11-30 01:35:26"),
        (None, "2026-11-30 03:35:26"),
    ],
)
def test_times(zone: timezone | None, expected: str) -> None:
    """In UTC, to the second, without a zone."""
    assert at(datetime(2026, 11, 30, 3, 35, 26, 999_999, tzinfo=zone)) == expected
    assert at(None) is None


def test_rates_and_counts() -> None:
    """Three digits; the largest count first."""
    assert (rate(None), rate(1234.5), rate(0.012345)) == (None, 1230, 0.0123)
    assert counts({"a": 1, "b": 1000, "c": 1}) == "b 1,000, a 1, c 1"
