"""Rates, age and estimate of a chain, from minutes and the present backlog."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.minutes.backlog import Waiting
from pipeline.minutes.histogram import Histogram, summed
from pipeline.minutes.reading import Hour, Minute, read_minute
from pipeline.operator.numbers.flow import ChainHour, empty_in, total_of, trend_of
from schemas.operator.status import Flow, Trend

LISTS = ("in", "run:main")


def minute(number: int, *, waiting: int | None = None, sampled: int = 0, **ends: int) -> Minute:
    """A minute with a sample of the lists, and so many runs by status, of 0.3 s each."""
    fields = {f'run {status} 0.5 ["main"]': str(count) for status, count in ends.items()}
    if waiting is not None:
        for name in LISTS:
            fields |= {f'{what} - n ["{name}"]': "0" for what in ("delayed", "in_flight")}
        fields |= {'waiting - n ["in"]': str(waiting), 'waiting - n ["run:main"]': "0"}
        fields['sampled - n ["at"]'] = str(sampled)
    return read_minute(number, fields)


def chain(*minutes: Minute, seconds: float = 30.0, **now: int) -> ChainHour:
    """The hour of a chain."""
    return ChainHour(Hour(minutes, seconds), "main", LISTS, Waiting(**now))


def test_what_comes_in_follows_from_what_ends_and_what_waits() -> None:
    """So vCons count that other programs put into the list; a retry is no end."""
    hour = chain(
        minute(1, waiting=100, done=50, retried=7),
        minute(2, waiting=150, done=40, failed=5, partial=5),
        minute(3, waiting=90, done=10),
        waiting=100,
        delayed=5,
        in_flight=1,
    )
    flow = hour.flow()
    assert flow.series.came_in == [100, 0, 26]  # never below 0: another program took some out
    assert flow.series.ended == [50, 50, 10]
    assert flow.series.failed == [0, 10, 0]
    assert (flow.ended, flow.failed, flow.retried) == (110, 10, 7)
    assert (flow.in_per_minute, flow.out_per_minute) == (116 / 2.5, 110 / 2.5)
    assert 0.1 < (flow.p50_seconds or 0) <= (flow.p95_seconds or 0) <= 0.5


def test_a_sample_that_came_late_in_its_minute() -> None:
    """The first replica may have started in the middle of a minute."""
    hour = chain(minute(1, waiting=0, sampled=45_000, done=20), waiting=0, seconds=55.0)
    assert hour.rates() == (20 * 6, 20 * 6, 10)


def test_without_samples_what_comes_in_is_not_known() -> None:
    """The rate out is known all the same; a list without a sample is as bad as none."""
    one_list = minute(2, waiting=7)
    del one_list.numbers["waiting"]["run:main",]
    hour = chain(minute(1, done=30), one_list, waiting=10)
    came, out, seconds = hour.rates()
    assert (came, out, seconds) == (None, 20, 90)
    assert hour.came_in() == [None, None]
    assert hour.oldest() == (0, True)
    assert hour.flow().empty_in_seconds is None


def test_only_the_last_minutes_make_the_rate() -> None:
    """What was an hour ago is in the series and the counts, not in the rate."""
    hour = chain(
        *(minute(n, waiting=0, done=1000) for n in range(10)),
        *(minute(n, waiting=0, done=0) for n in range(10, 16)),
    )
    assert hour.rates() == (0, 0, 150)
    assert hour.flow().ended == 10_000


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [
        (0, (None, False)),
        (5, (15, False)),  # half of the 10 of the present 30 s
        (10, (30, False)),
        (20, (60, False)),  # and half of the 20 of the minute before
        (40, (150, True)),  # more than came in in all minutes that are known
    ],
)
def test_the_age_of_the_head(waiting: int, expected: tuple[float | None, bool]) -> None:
    """With so many in the list, the head has come in so many ago."""
    before = [minute(1, waiting=waiting, done=0), minute(2, waiting=waiting, done=20)]
    # nothing in the first minute, 20 in the second, 10 in the present half
    hour = chain(*before, minute(3, waiting=waiting, done=10), waiting=waiting)
    assert hour.oldest() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("backlog", "came", "out", "expected"),
    [
        (0, None, 0.0, 0.0),
        (100, 10.0, 60.0, 120.0),
        (100, 0.0, 50.0, 120.0),
        (100, 60.0, 60.0, None),
        (100, 59.9, 60.0, None),
        (100, None, 60.0, None),
        (100, 0.0, 0.0, None),
    ],
)
def test_the_estimate(backlog: int, came: float | None, out: float, expected: float | None) -> None:
    """Only a backlog that shrinks noticeably has an end."""
    assert empty_in(backlog, came, out) == expected


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ({}, "idle"),
        ({"out_per_minute": 5, "in_per_minute": 5}, "steady"),
        ({"out_per_minute": 5, "in_per_minute": 5, "waiting": 9}, "steady"),
        ({"out_per_minute": 5, "in_per_minute": 50, "waiting": 9}, "growing"),
        ({"out_per_minute": 50, "in_per_minute": 5, "waiting": 9}, "draining"),
        ({"waiting": 9}, "stuck"),
        ({"waiting": 9, "in_flight": 1}, "steady"),
        ({"delayed": 9}, "steady"),
    ],
)
def test_trends(numbers: dict[str, Any], expected: Trend) -> None:
    """One word for a chain; a pause and a disabled chain go before."""
    flow = Flow(**numbers)
    assert trend_of(flow, 10.0, enabled=True, paused=False) == expected
    assert trend_of(flow, 10.0, enabled=True, paused=True) == "paused"
    assert trend_of(flow, 10.0, enabled=False, paused=True) == "disabled"


def test_a_chain_is_stuck_after_a_while() -> None:
    """What has come in just now is not stuck before a worker could claim it."""
    flow = Flow(waiting=9, in_per_minute=100)
    trends = [trend_of(flow, oldest, enabled=True, paused=False) for oldest in (None, 29.0, 30.0)]
    assert trends == ["growing", "growing", "stuck"]


def test_the_total_adds_chains_up() -> None:
    """Sums, the series by minute, and quantiles of all attempts."""
    first = chain(minute(1, waiting=0, done=5), minute(2, waiting=0, done=5), waiting=3)
    second = chain(minute(1, done=1), minute(2, waiting=0, failed=2), waiting=4)
    flows = [first.flow(), second.flow()]
    total = total_of(flows, summed([first.durations, second.durations]))
    assert total.series.came_in == [5, 8 + 6]
    assert total.series.ended == [6, 7]
    assert (total.waiting, total.ended, total.failed) == (7, 13, 2)
    assert total.in_per_minute == sum(each.in_per_minute or 0 for each in flows)
    assert total_of([], Histogram()) == Flow(empty_in_seconds=0.0)
