"""How chains move: rates, age, estimate and series, from minutes and the present backlog.

What comes in cannot be counted where it comes in: other programs put uuids into lists themselves.
It follows from what can be counted: in a time, as many have come in as have ended, plus the change
of the backlog (waiting, delayed and in flight), which is sampled at the beginning of each minute.

The age of the oldest follows as well. A list is a queue, so with N in it, the head has come in N
ago; the minutes say when that was.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.minutes.backlog import Waiting
from pipeline.minutes.fields import shortened
from pipeline.minutes.histogram import Histogram, summed
from pipeline.minutes.reading import Hour, Minute
from schemas.operator.status import Flow, Series, Trend

WINDOW = 2
"""Minutes before the present one of which the rates are."""
RETRIED = "retried"
FAILED = ("failed", "partial")
"""Statuses of runs that leave a dead letter."""
STUCK_SECONDS = 30.0
"""A chain of which nothing runs is stuck once the head of its lists has waited for so long."""
NOTICEABLE = 1.05
"""A backlog grows or shrinks when one rate is higher than the other by this factor."""


@dataclass(frozen=True, slots=True)
class Ends:
    """The ends of runs in one minute."""

    ended: int = 0
    failed: int = 0
    retried: int = 0

    @classmethod
    def of(cls, outcomes: Mapping[str, Histogram]) -> "Ends":
        """The ends by their statuses."""
        counts = {outcome: each.count for outcome, each in outcomes.items()}
        retried = counts.pop(RETRIED, 0)
        return cls(sum(counts.values()), sum(counts.get(each, 0) for each in FAILED), retried)


class ChainHour:
    """One chain's hour."""

    def __init__(self, hour: Hour, chain: str, lists: Sequence[str], now: Waiting) -> None:
        """`lists` are those that its workers claim from, `now` is their present backlog."""
        self._minutes = hour.minutes
        self._seconds = hour.seconds
        self._name, self._lists = shortened(chain), [shortened(name) for name in lists]
        self.now = now
        self._ends = [Ends.of(each.outcomes("run", self._name)) for each in hour.minutes]
        self._backlogs = [*map(self._backlog, hour.minutes), now.all]

    def _backlog(self, minute: Minute) -> int | None:
        """The sample of the minute; None unless it has one of each list."""
        total = 0
        for name in self._lists:
            for what in ("waiting", "delayed", "in_flight"):
                sample = minute.sample(what, name)
                if sample is None:
                    return None
                total += sample
        return total

    @property
    def durations(self) -> Histogram:
        """All attempts of the hour."""
        every = (minute.outcomes("run", self._name).values() for minute in self._minutes)
        return summed(each for outcomes in every for each in outcomes)

    @property
    def ends(self) -> Ends:
        """The ends of the hour."""
        return _sum(self._ends)

    def came_in(self) -> list[int | None]:
        """What came in in each minute; None where a sample is missing."""
        befores, afters = self._backlogs[:-1], self._backlogs[1:]
        return [
            None if before is None or after is None else max(0, ends.ended + after - before)
            for ends, before, after in zip(self._ends, befores, afters, strict=True)
        ]

    def rates(self) -> tuple[float | None, float, float]:
        """Arrivals and ends a minute, and the seconds in which they were counted."""
        first = self._window()
        begin = len(self._minutes) - 1 - WINDOW if first is None else first
        begin = max(begin, 0)
        seconds = (len(self._minutes) - 1 - begin) * 60 + self._seconds
        if first is not None:
            seconds -= sampled_at(self._minutes[first])
        ended = _sum(self._ends[begin:]).ended
        out = _per_minute(ended, seconds)
        if first is None or (before := self._backlogs[first]) is None:
            return None, out, seconds
        return _per_minute(max(0, ended + self.now.all - before), seconds), out, seconds

    def _window(self) -> int | None:
        """The first minute of the window that has a sample."""
        last = len(self._minutes) - 1
        begin = max(last - WINDOW, 0)
        return next((n for n in range(begin, last + 1) if self._backlogs[n] is not None), None)

    def oldest(self) -> tuple[float | None, bool]:
        """About how long the head of the lists has waited, and whether it may be longer."""
        left, age, length = float(self.now.waiting), 0.0, self._seconds
        if not left:
            return None, False
        for came in reversed(self.came_in()):
            if came is None:
                return age, True
            if came >= left:
                return age + length * left / came, False
            left, age, length = left - came, age + length, 60.0
        return age, True

    def flow(self) -> Flow:
        """The numbers of this chain."""
        came, out, _ = self.rates()
        ends, durations = self.ends, self.durations
        return Flow(
            in_per_minute=came,
            out_per_minute=out,
            waiting=self.now.waiting,
            delayed=self.now.delayed,
            in_flight=self.now.in_flight,
            ended=ends.ended,
            failed=ends.failed,
            retried=ends.retried,
            p50_seconds=durations.quantile(0.5),
            p95_seconds=durations.quantile(0.95),
            empty_in_seconds=empty_in(self.now.waiting + self.now.delayed, came, out),
            series=Series(
                came_in=self.came_in(),
                ended=[each.ended for each in self._ends],
                failed=[each.failed for each in self._ends],
            ),
        )


def sampled_at(minute: Minute) -> float:
    """Seconds from the beginning of a minute to its samples."""
    return (minute.sample("sampled", "at") or 0) / 1000


def empty_in(backlog: int, came: float | None, out: float) -> float | None:
    """Seconds until a backlog is worked off; None if it does not shrink, or that is not known."""
    if not backlog:
        return 0.0
    shrinking = out - (came or 0.0)
    if came is None or out <= came * NOTICEABLE:
        return None
    return backlog * 60 / shrinking


def trend_of(flow: Flow, oldest: float | None, *, enabled: bool, paused: bool) -> Trend:
    """One word for how a chain moves; `oldest`: seconds that the head of its lists has waited."""
    if not enabled:
        return "disabled"
    if paused:
        return "paused"
    if not flow.waiting and not flow.in_flight and not flow.delayed:
        return "idle" if not flow.out_per_minute else "steady"
    came = flow.in_per_minute or 0.0
    if not flow.out_per_minute and not flow.in_flight and flow.waiting:
        is_new = flow.in_per_minute is not None and (oldest or 0.0) < STUCK_SECONDS
        return "growing" if is_new else "stuck"
    if came > flow.out_per_minute * NOTICEABLE and flow.waiting:
        return "growing"
    return "draining" if flow.out_per_minute > came * NOTICEABLE else "steady"


def total_of(flows: Sequence[Flow], durations: Histogram) -> Flow:
    """All chains together."""
    known = [each.in_per_minute for each in flows if each.in_per_minute is not None]
    came = sum(known) if known else None
    out = sum(each.out_per_minute for each in flows)
    summed_up = {
        name: sum(getattr(each, name) for each in flows)
        for name in ("waiting", "delayed", "in_flight", "ended", "failed", "retried")
    }
    return Flow(
        in_per_minute=came,
        out_per_minute=out,
        p50_seconds=durations.quantile(0.5),
        p95_seconds=durations.quantile(0.95),
        empty_in_seconds=empty_in(summed_up["waiting"] + summed_up["delayed"], came, out),
        series=Series(
            came_in=_columns([each.series.came_in for each in flows]),
            ended=[each or 0 for each in _columns([each.series.ended for each in flows])],
            failed=[each or 0 for each in _columns([each.series.failed for each in flows])],
        ),
        **summed_up,
    )


def _columns(rows: Sequence[Sequence[int | None]]) -> list[int | None]:
    """The sums by minute; None where no row has a number."""
    return [
        sum(known) if (known := [each for each in column if each is not None]) else None
        for column in zip(*rows, strict=True)
    ]


def _sum(ends: Iterable[Ends]) -> Ends:
    rows = list(ends)
    return Ends(
        sum(each.ended for each in rows),
        sum(each.failed for each in rows),
        sum(each.retried for each in rows),
    )


def _per_minute(count: float, seconds: float) -> float:
    return count * 60 / seconds if seconds > 0 else 0.0
