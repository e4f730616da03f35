"""`slow`: the steps of the last hour by their share of the time."""

from core.errors import UnknownNameError
from core.operator_interfaces import Call, Operation
from pipeline.minutes.fields import shortened
from pipeline.minutes.histogram import Histogram
from pipeline.minutes.reading import Hour, MinuteReader
from pipeline.operator.parts import Parts
from schemas.operator.steps import SlowQuery, SlowSteps, StepTimes

SLOW = Operation("slow", "Where the time of the last hour went", SlowQuery, SlowSteps)

type _Place = tuple[str, str, str]
"""Kind, chain and name."""


class SlowStepReader:
    """Answers `slow`."""

    def __init__(self, parts: Parts) -> None:
        self._configuration = parts.configuration
        self._minutes = MinuteReader(parts.redis)

    async def slow(self, query: SlowQuery, _call: Call) -> SlowSteps:
        """The steps by share of all seconds.

        Raises:
            UnavailableError: Redis cannot be reached.
            UnknownNameError: there is no such chain, and nothing was counted of it.
        """
        hour = await self._minutes.hour(query.minutes)
        steps = steps_of(hour, query.chain)
        chains = list(self._configuration.config.chains)
        if query.chain is not None and not steps and query.chain not in chains:
            raise UnknownNameError("chain", query.chain, chains)
        return SlowSteps(
            minutes=query.minutes,
            calls=sum(each.calls for each in steps),
            seconds=sum(each.seconds for each in steps),
            more=max(0, len(steps) - query.limit),
            steps=steps[: query.limit],
        )


def steps_of(hour: Hour, chain: str | None = None) -> list[StepTimes]:
    """All steps that were counted, or those of one chain; the longest first."""
    every: dict[_Place, Histogram] = {}
    failed: dict[_Place, int] = {}
    for minute in hour.minutes:
        for kind in ("link", "storage"):
            for names, outcomes in minute.durations.get(kind, {}).items():
                place = kind, names[0], names[-1]
                for outcome, each in outcomes.items():
                    every.setdefault(place, Histogram()).add(each)
                    failed[place] = failed.get(place, 0) + (outcome == "failed") * each.count
    wanted = None if chain is None else shortened(chain)
    places = {place: each for place, each in every.items() if wanted in (None, place[1])}
    total = sum(each.seconds for each in places.values())
    found = [_step(place, each, failed[place], total) for place, each in places.items()]
    return sorted(found, key=lambda step: (-step.seconds, step.chain, step.name))


def _step(place: _Place, times: Histogram, failed: int, total: float) -> StepTimes:
    kind, chain, name = place
    return StepTimes(
        chain=chain,
        kind="link" if kind == "link" else "storage",
        name=name,
        calls=times.count,
        failed=failed,
        seconds=times.seconds,
        share=times.seconds / total if total else 0.0,
        mean_seconds=times.mean or 0.0,
        p50_seconds=times.quantile(0.5) or 0.0,
        p95_seconds=times.quantile(0.95) or 0.0,
    )
