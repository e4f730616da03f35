"""The rounds of the chain benchmark, interleaved with those of the floor."""

import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.chain.bench import CASES, Bench, Case, Measured
from benchmarks.figures import Figure
from benchmarks.servers import servers

AIMS = {
    "tag, none": 2.5,
    "tag, file": 1.3,
    "tag, postgres": 2.2,
    "sync link, none": 1.0,
    "sync link, file": 0.8,
    "sync link, postgres": 1.0,
    "waits 50 ms, 4 in flight": 0.9,
    "waits 50 ms, 4,800 a minute": 0.9,
}
SHORT = 1_000
"""vCons of a round of the short form."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Medians of a case: vCons a second and CPU microseconds a vCon, beside those of its floor."""

    rate: float
    floor: float
    cpu: float
    floor_cpu: float

    @property
    def ratio(self) -> float:
        """Our rate, of the floor's."""
        return self.rate / self.floor


def measure(
    cases: Sequence[Case], rounds: int, count: int, appendfsync: str = "everysec"
) -> list[Compared]:
    """The medians of each case. `count`: vCons of a round; `appendfsync`: a setting of Redis."""
    floors: defaultdict[str, list[Measured]] = defaultdict(list)
    ours: defaultdict[str, list[Measured]] = defaultdict(list)
    with servers(appendfsync) as stack:
        bench = Bench(stack, count)
        for number in range(rounds):
            for storage in dict.fromkeys(case.storage for case in cases):
                floors[storage].append(bench.floor(storage))
            for case in cases:
                ours[case.name].append(bench.chain(case))
            print(f"chain, round {number + 1} of {rounds}", file=sys.stderr)
    return [_compared(case, ours[case.name], floors[case.storage], count) for case in cases]


def _compared(case: Case, ours: list[Measured], floors: list[Measured], count: int) -> Compared:
    rate, cpu = _median(ours, count)
    base, base_cpu = _median(floors, count)
    if case.waits:
        base, base_cpu = case.allowed, 0.0
    return Compared(rate, base, cpu, base_cpu)


def _median(rounds: list[Measured], count: int) -> tuple[float, float]:
    rate = statistics.median(count / each.seconds for each in rounds)
    cpu = statistics.median(each.cpu / count * 1e6 for each in rounds)
    return rate, cpu


def figures(rounds: int) -> Iterable[Figure]:
    """The cases that have an aim."""
    cases = [case for case in CASES if case.name in AIMS]
    for case, each in zip(cases, measure(cases, rounds, SHORT), strict=True):
        note = f"CPU {each.cpu:.0f} us a vCon, of the floor {each.floor_cpu:.0f}"
        yield Figure(case.name, each.ratio, AIMS[case.name], note=note)
